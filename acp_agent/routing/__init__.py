"""Who answers a prompt: the small model itself, or GPT-OSS.

`gather` (text to facts) and `decide` (facts to a decision) are pure; `load` reads rubrics, `log`
keeps the decisions. What words mean and what facts weigh stands in rubric.toml.
"""
