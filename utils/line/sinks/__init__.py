"""Where events go: each module is one kind of receiver, ``registry.py`` chooses by the scheme of an address."""
