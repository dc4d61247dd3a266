"""Networks in the formats of other programs: preprocessing inside, any number of images at once."""
