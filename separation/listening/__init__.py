"""How to ask people what they hear: studies, their audio, who gets what when, and what their answers say. No torch.

study       the file that a researcher writes, checked line by line (`parts`: what it is made of, `rules`: what must fit)
webmushra   files of webMUSHRA's, read and written
materials   the audio of a study, made once before anybody listens (`prepared`: as it lies on the disk; `from_folder`: a study
            to begin with)
checks      what would spoil a study, measured on that audio
questions   the kinds of question: what is asked, what is an answer (`scales`; `wording` and texts/: in five languages)
plans       who gets what, in which order (`planned`: the records, `designs`: the mathematics)
studies     those of an installation: launched, paused, extended, closed, watched
sessions    one listener's way through one study (`pages`: what each page shows; `headphones`: six trials with tones)
results     what was said on those pages, as answers
answers     one row per thing a listener said, whatever the question
screening   whose answers count: rules with reasons, a view and never a deletion
analysis    what the answers say, and how sure that is (`findings`: the records); report: as HTML and Markdown
exports     answers as files, and back (`other_tools`: webMUSHRA, pymushra, P.808; `preferences`: pairs for training)
simulated   listeners made up, to try a study before anybody comes
arena       blind comparison of two systems: votes, their files, which pair comes next (`leaderboard`: what votes say)
"""
