"""Where the file that Streamlit runs lives: alone, as Streamlit takes a folder ``pages`` beside it for pages of its own."""
