"""Small lists of a class and exports of a platform, made by hand after public files."""

from __future__ import annotations

# Canvas's gradebook: lib/gradebook_exporter.rb of github.com/instructure/canvas-lms
# (columns, the row "Manual Posting", "    Points Possible", N/A, EX, ="..." around a
# name that begins with =), with a test student at the end
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Lab 01 (4711),Lab 02 (4712),"
    "Final Score\r\n"
    ",,,,,,Manual Posting,\r\n"
    "    Points Possible,,,,,30.00,7.00,(read only)\r\n"
    '"Doe, Jane",12,0012,jdoe,"A, early",28.50,,95.00\r\n'
    '"Roe, Rick",13,0013,rroe,A,N/A,"1",95.00\r\n'
    '"=""=1+1, Al""",14,0014,eq,A,,EX,\r\n'
    '"Poe, Sué",15,0015,spoe,A,3,,\r\n'
    '"Student, Test",99,,f00d,A,,,\r\n'
)

# Moodle's worksheet: col_timesubmitted() and its neighbours in
# mod/assign/gradingtable.php, and mod/assign/feedback/offline/importgradeslib.php, of
# github.com/moodle/moodle; with the byte order mark and the quotes that it writes
MOODLE = (
    '\ufeffIdentifier,"Full name","Email address",Status,Grade,"Maximum Grade",'
    '"Grade can be changed","Last modified (submission)","Last modified (grade)",'
    '"Feedback comments"\n'
    '"Participant 12","Jane Doe",jane@x.org,"Submitted for grading",,7.00,Yes,'
    '"Friday, 20 November 2026, 11:50 PM",-,\n'
    '"Participant 13","Rick_Roe",rick@x.org,"Submitted for grading","1.00",7.00,Yes,'
    '"Sunday, 22 November 2026, 8:10 AM",-,"Two\nlines, ""quoted"""\n'
    '"Participant 14","Al Eq",al@x.org,"No submission",,7.00,Yes,-,-,\n'
    '"Participant 15","Sué Poe",sue@x.org,"Submitted for grading",5.00,7.00,No,'
    '"Sunday, 22 November 2026, 8:10 AM",-,\n'
)

PLAIN = "id;name;submitted\n0012;Jane Doe;2026-11-20 23:50\n0013;Rick Roe;\n"

# Gradescope: keys and times as in public scripts that read an export, for example
# github.com/gradescope/autograder_samples and courses' renaming scripts
GRADESCOPE = """\
submission_409194023:
  :submitters:
  - :name: Jane Doe
    :sid: '0012'
    :email: jane@x.org
  :created_at: 2026-11-20 22:50:00.861687000 Z
  :score: 2.0
  :results:
    output: |-
      =====
      Score: 2.0
submission_500000001:
  :submitters:
  - :name: Rick Roe
    :sid: 0089
    :email: rick@x.org
  - :name: 'No'
    :email: sue@x.org
  :created_at: 2026-11-22 07:10:00.000000000 Z
  :history:
  - !ruby/object:Score
    :score: 1.0
submission_600000002:
  :submitters: []
"""
