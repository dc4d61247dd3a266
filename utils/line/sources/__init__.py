"""Where frames come from: each module is one kind of source, ``registry.py`` chooses by the scheme of an address."""
