"""What every part stands on: errors, units, arrays, dates, files, and the forms of figures with working."""
