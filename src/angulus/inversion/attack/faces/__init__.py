"""What a thief makes of public faces: eigenfaces, pictures to begin with, a map to another network."""
