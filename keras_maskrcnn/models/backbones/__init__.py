"""Networks that turn a normalised picture into feature maps."""
