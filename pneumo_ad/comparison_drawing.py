def draw(found, overrides):
    pass
