"""The web calculator's front door: ``streamlit run app.py``. Everything else is in ``sizing.web``."""

import streamlit as st

from sizing.web import ICON
from sizing.web.main import main

st.set_page_config(page_title="sizing: hardware for language models", page_icon=ICON, layout="wide")
main()
