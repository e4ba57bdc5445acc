"""The documents of a recall (文书): what each must say, and how it becomes a page and a PDF.

``draft`` collects blocks and what is missing, ``reports`` and ``notices`` know the documents, ``printing`` makes page
and PDF from the frozen data. They are Chinese whoever prints them, as the law has them.
"""
