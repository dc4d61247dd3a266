"""From image files to decisions: the network, the decision per pixel, defects, files; nothing here trains."""
