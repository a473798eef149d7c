"""What every layer may use: identifiers, secrets, measures."""
