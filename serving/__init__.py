"""Online lookup of the features that the models were trained on."""
