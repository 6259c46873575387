"""Reading mail: bounded and linear, for bytes that may have been made to hurt.

`mime` reads structure and bodies, `headers` what they say, `charset` their bytes, `html` renders,
`quotes` tells the new words from the repeated ones, `trust` judges who wrote.
"""
