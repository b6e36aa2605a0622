"""x"""
from sizing.study import Study
def show(study: Study) -> None:
    pass
