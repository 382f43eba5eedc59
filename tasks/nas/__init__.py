"""Architecture search: networks that fit the device that they run on."""
