"""Beside a line: frames in from cameras and folders, one event a frame out to the plant's systems."""
