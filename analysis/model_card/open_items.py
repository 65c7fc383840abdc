"""The items of TRIPOD+AI that no run can answer, for the user to fill in.

Numbers and topics are those of the statement (Collins et al., BMJ 2024;385:e078378), in our own words.
"""

from typing import Final

OPEN: Final = {
    "1": "Title: development or evaluation of a prediction model, target population, outcome",
    "2": "Abstract, by the TRIPOD+AI checklist for abstracts",
    "3a": "Healthcare context, rationale, and existing models",
    "3b": "Target population, intended purpose in the care pathway, and intended users",
    "3c": "Known health inequalities between sociodemographic groups",
    "4": "Objectives",
    "5a": "Why these data, and whether they are representative (the sources are named above)",
    "5b": "Dates of data collection",
    "6a": "Setting, number and location of centres",
    "6b": "Eligibility criteria of the patients (files that were left out are listed above)",
    "6c": "Treatments received, if relevant",
    "8a": "How and when the reference labels were assessed, and why this outcome",
    "8b": "Qualifications and demographics of those who assessed them",
    "8c": "Blinding of the assessment",
    "9b": "How and when the images were acquired: scanners, protocols, and who was scanned when",
    "10": "How the study size was arrived at, and whether it suffices (counts are above)",
    "12d": "Whether and how heterogeneity between clusters such as hospitals or scanners was handled",
    "14": "Approaches to fairness",
    "16": "Differences between the development and evaluation data in setting, eligibility and outcome",
    "17": "Ethical approval and informed consent",
    "18a": "Funding",
    "18b": "Conflicts of interest",
    "18c": "Study protocol",
    "18d": "Registration",
    "18e": "Availability of the data",
    "18f": "Availability of the code for the analysis (that of the training is ichtune)",
    "19": "Involvement of patients and the public",
    "20b": "Characteristics of the patients: demographics, dates, scanners",
    "20c": "Comparison of the evaluation data with those of the development",
    "23a": "Performance in key subgroups such as age and sex (that of all patients is above)",
    "23b": "Heterogeneity of the performance between clusters such as hospitals or scanners, if examined",
    "25": "Interpretation, with issues of fairness, in the context of earlier studies",
    "27a": "How poor or missing images should be recognized and handled in use",
    "27b": "What users have to do, and the expertise that they need",
    "27c": "Next steps, above all for applicability and generalisability",
}
"""By number, in the order of the statement."""
