"""The rules beside Ethereum's executable specification."""
