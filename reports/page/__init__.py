"""The page: one self-contained HTML file with findings, figures, tables and all trials.

``page.py`` puts it together from ``parts.py`` and ``tables.py``, which write HTML, and ``data.py``, which
collects what only scripts read; ``packed.py`` compresses that. In the browser, ``page.js`` starts
``tables.js``, ``figures.js`` and ``trials.js``.
"""
