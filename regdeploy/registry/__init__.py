"""What a registry is: its generations, configuration, users and storage, and how its HTTP API answers."""
