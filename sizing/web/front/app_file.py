"""The file that ``sizing app`` gives to Streamlit; the same as ``app.py`` at the top of the repository.

It must not lie beside ``sizing/web/pages``: Streamlit would take that folder for the pages of an older kind of app until
the first run has said otherwise, and name all inputs anew after it, which forgets their values.
"""

import streamlit as st

from sizing.web import ICON
from sizing.web.main import main

st.set_page_config(page_title="sizing: hardware for language models", page_icon=ICON, layout="wide")
main()
