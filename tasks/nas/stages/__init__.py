"""The stages of architecture search, from images and a device to a released network."""
