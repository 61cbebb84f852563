"""What a recipe's data, classes and gaps come to; taking steps belongs to the files of `training` itself."""
