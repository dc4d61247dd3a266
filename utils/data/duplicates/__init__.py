"""Near-duplicates: images that show the same piece of steel, turned, mirrored, shifted or cropped."""
