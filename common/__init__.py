"""What every package may use: errors, atomic files, measuring, pages. Imports no other package of ours."""
