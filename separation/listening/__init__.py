"""How to ask people what they hear: studies, their audio, who gets what when, and what their answers say. No torch.

study       the file that a researcher writes, checked line by line
questions   the kinds of question: what is asked, what is an answer
answers     one row per thing a listener said, whatever the question
"""
