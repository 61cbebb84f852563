"""What commands print and what pages they write: lines, tables, pages."""
