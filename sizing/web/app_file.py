"""The file that ``sizing app`` gives to Streamlit; the same as ``app.py`` at the top of the repository."""

import streamlit as st

from sizing.web import ICON
from sizing.web.main import main

st.set_page_config(page_title="sizing: hardware for language models", page_icon=ICON, layout="wide")
main()
