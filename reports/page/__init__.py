"""The page: one self-contained HTML file with findings, figures, tables and all trials.

``page.py`` puts it together; ``tables.py`` and ``data.py`` make what it shows; ``packed.py`` compresses what only
scripts read. In the browser, ``page.js`` starts ``tables.js``, ``figures.js`` and ``trials.js``.
"""
