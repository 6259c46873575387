"""Guards made of other packages, each in a module of its own and each an optional extra.

==========================  ==============================  ==========================
module                      is                              extra
==========================  ==============================  ==========================
``presidio``                Presidio's recognizers of PII   ``presidio``
``moderation``              any judge that speaks HTTP      ``moderation``
``openai_guardrails``       OpenAI Guardrails' local rules  ``openai-guardrails``
``acs``                     Agent Control Specification     ``acs``
==========================  ==============================  ==========================

What a module wraps is imported when its guard is made. None loads a model from anywhere or reports
to anybody; `moderation` alone talks to a host, the one that it is given.
"""
