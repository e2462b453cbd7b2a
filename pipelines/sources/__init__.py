"""Where ratings, catalogues and posters come from. Every source gives the same three raw tables."""
