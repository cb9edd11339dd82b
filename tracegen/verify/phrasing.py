"""How texts say that an answer follows: `Final answer: 5`, `Die Antwort ist 5`, `"answer": "5"`."""

from __future__ import annotations

import re

_ENGLISH = (
    r"(?:final\s+|correct\s+|right\s+|short\s+)?(?:(?:answer|solution|root)s?|result|option|choice)|ans"
)
PHRASE = re.compile(
    rf"(?:^|[\s*_#>(\[{{])(?:{_ENGLISH})[ \t*_)}}\]]{{0,9}}"
    rf"(?:[ \t]+(?:to\s+[^.\n:=]{{1,80}}?|of\s+[^.\n:=]{{1,80}}?|for\s+[^.\n:=]{{1,80}}?))?"
    rf"(?:[ \t*_]*(?:[:=：→⇒]|->|=>)[ \t*_]*"
    rf"|[ \t]+(?:is|are|must be|should be|will be|=)(?:[ \t]*:)?[ \t*_]*"
    rf"|(?<=\bans)\.[ \t]+"
    rf"|[ \t*_]*\n+[ \t]*)",
    re.IGNORECASE,
)


def _alternatives(table: str) -> str:
    return "|".join(word.strip() for word in table.split("|"))


_SPACED = r"""
    antwort | lösung | ergebnis | réponse | résultat | respuesta | resultado | solución | resposta | solução |
    risposta | risultato | soluzione | ответ | результат | відповідь | odpowiedź | wynik | odpověď |
    výsledek | antwoord | svar | svaret | vastaus | válasz | cevap | yanıt | sonuç | răspuns |
    απάντηση | jawaban |
    đáp[ ]án | đáp[ ]số | câu[ ]trả[ ]lời | الجواب | الإجابة | उत्तर | 정답 | 답
"""
_VERBS = r"""
    ist | lautet | beträgt | est | es | é | è | jest | to | je | is | är | on | равен | равна | это |
    adalah | là |
    هو | هي | है | είναι | este
"""
_WIDE = r"最终答案|最後答案|最后答案|正确答案|正解|答案|答え|解答|答"
"""Labels of languages without spaces between words."""
FOREIGN = re.compile(
    rf"(?:(?:^|(?<=[\s*_#>(\[{{]))(?:{_alternatives(_SPACED)})(?:[ \t]+\w{{3,14}})?[ \t*_]{{0,9}}"
    rf"(?:[ ]?[:：=—][ \t*_]*|[ \t]+(?:{_alternatives(_VERBS)})[ \t*_:]+|[은는][ \t]+|\n+[ \t]*)"
    rf"|(?:{_WIDE})[ \t*_】]{{0,9}}(?:(?<=】)|[:：=][ \t*_]*|(?:是|为|為|は|等于)[ \t*_:：]*))",
    re.IGNORECASE,
)
ENDING = re.compile(r"\s*(?:です|でした|である|となります|になります|입니다|이다|है|olur)[。.।]?\s*\Z")
"""Verbs that end a sentence after its answer."""
QUOTED = re.compile(
    r'"(?:final[_ ])?answer"\s*:\s*(?:"((?:[^"\\]|\\.){1,300})"|([^\s,}"]{1,100}))', re.IGNORECASE
)
"""A field of JSON."""
POLITE = re.compile(
    r"\s*(?:i )?(?:hope|let me know|if you|feel free|please|good luck|happy to|glad to|do you|would you|"
    r"is there|thank|great question|keep)\b",
    re.IGNORECASE,
)
"""How paragraphs begin that end a talk."""
