"""What the features are: schemas, entities, views, services, and the offline stores that Feast loads."""
