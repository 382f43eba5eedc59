"""The domains, each with its declaration, settings, wiring, inputs, command bodies and report section."""
