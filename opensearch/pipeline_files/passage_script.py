"""The script that makes a client's document like one that ``tandem index`` writes.

``tandem index`` encodes the passage: the title, if there is one, a line break and the text. It also
keeps codes and long numbers as keywords (:mod:`opensearch.exact_values`); the script finds the same
ones, without regular expressions, which a cluster may forbid or cut short.
"""

from typing import Any

from opensearch.exact_values import MAX_VALUES, MIN_DIGITS
from opensearch.pipeline_files.schema import PassageStep

# Functions first, as Painless wants it. `part` of a word: what no value may touch.
_FUNCTIONS = """
boolean part(int c) {
  if (c == (int) (char) '-') { return true; }
  if ((c >= 12352 && c <= 12543) || (c >= 19968 && c <= 40959) || (c >= 44032 && c <= 55203))
  { return false; }
  int type = Character.getType(c);
  return c == (int) (char) '_' || Character.isLetter(c) || type == 9 || type == 10 || type == 11;
}
boolean free(String s, int i) { return i >= s.length() || !part(s.codePointAt(i)); }
boolean starts(String s, int i) { return i == 0 || !part(s.codePointBefore(i)); }
boolean letter(String s, int i) {
  if (i >= s.length()) { return false; }
  char c = s.charAt(i);
  return (c >= (char) 'a' && c <= (char) 'z') || (c >= (char) 'A' && c <= (char) 'Z');
}
boolean figure(String s, int i) { return i < s.length() && Character.isDigit(s.charAt(i)); }
boolean plain(String s, int i) {
  return letter(s, i) || (i < s.length() && s.charAt(i) >= (char) '0' && s.charAt(i) <= (char) '9');
}
boolean among(String s, int i, String some) {
  return i < s.length() && some.indexOf(String.valueOf(s.charAt(i))) >= 0;
}
boolean mixed(String s, int i) {
  int j = i;
  while (letter(s, j) || among(s, j, '_-')) { j++; }
  if (!figure(s, j)) { return false; }
  j = i;
  while ((plain(s, j) && !letter(s, j)) || among(s, j, '_-')) { j++; }
  return letter(s, j);
}
int codeEnd(String s, int i) {
  if (!plain(s, i) || !starts(s, i) || !mixed(s, i)) { return -1; }
  int best = -1;
  int j = i;
  while (true) {
    while (plain(s, j)) { j++; }
    if (free(s, j)) { best = j; }
    if (!among(s, j, '-_/.') || !plain(s, j + 1)) { return best; }
    j++;
  }
}
int fractionEnd(String s, int i) {
  if (!among(s, i, '.') || !figure(s, i + 1)) { return i; }
  int j = i + 1;
  while (figure(s, j)) { j++; }
  return j;
}
int numberEnd(String s, int i) {
  if (!figure(s, i) || !starts(s, i) || (i > 0 && among(s, i - 1, '.,'))) { return -1; }
  int j = i;
  while (figure(s, j)) { j++; }
  int end = j;
  if (j - i <= 3) {
    while (among(s, end, ',') && figure(s, end + 1) && figure(s, end + 2) && figure(s, end + 3)) {
      end += 4;
    }
    return end > j ? fractionEnd(s, end) : -1;
  }
  end = fractionEnd(s, j);
  if (free(s, end)) { return end; }
  return end > j ? j : -1;
}
int figures(String s) {
  int count = 0;
  for (int i = 0; i < s.length(); i++) { if (figure(s, i)) { count++; } }
  return count;
}
List exact(String text, int most, int digits) {
  StringBuilder half = new StringBuilder();
  for (int i = 0; i < text.length(); i++) {
    char c = text.charAt(i);
    half.append(c >= 65281 && c <= 65374 ? (char) (c - 65248) : c);
  }
  String s = half.toString();
  def found = new LinkedHashSet();
  int i = 0;
  while (i < s.length()) {
    int end = codeEnd(s, i);
    if (end < 0) { i++; continue; }
    String value = s.substring(i, end);
    if (value.length() >= 4 && figures(value) >= 2) { found.add(value.toUpperCase()); }
    i = end;
  }
  i = 0;
  while (i < s.length()) {
    int end = numberEnd(s, i);
    if (end < 0) { i++; continue; }
    String value = s.substring(i, end);
    boolean year = value.length() == 4 && (value.startsWith('19') || value.startsWith('20'));
    String number = value.replace(',', '');
    if (!year && figures(number) >= digits) { found.add(number); }
    i = end;
  }
  List values = new ArrayList(found);
  return values.size() > most ? new ArrayList(values.subList(0, most)) : values;
}
"""
_PASSAGE = """
def text = ctx[params.text];
if (!(text instanceof String) || text.trim().isEmpty()) {
  throw new IllegalArgumentException('the field ' + params.text + ' must hold a text');
}
def given = ctx[params.title];
String title = given instanceof String ? given : '';
String passage = title.isEmpty() ? text : title + params.separator + text;
ctx[params.to] = passage;
"""
_DOCUMENT = """
if (ctx.doc_id == null) {
  if (ctx._id == null) {
    throw new IllegalArgumentException('the document needs an _id, or a doc_id');
  }
  ctx.doc_id = ctx._id;
}
ctx[params.title] = title;
if (ctx.ordinal == null) { ctx.ordinal = 0; }
if (ctx.level == null) { ctx.level = 'fine'; }
if (ctx.start == null) { ctx.start = 0; }
if (ctx.end == null) { ctx.end = ctx.start + text.codePointCount(0, text.length()); }
List values = exact(passage, params.most, params.digits);
if (!values.isEmpty()) { ctx.exact = values; }
values = exact(title, params.most, params.digits);
if (!values.isEmpty()) { ctx.exact_title = values; }
"""


def passage_processor(step: PassageStep) -> dict[str, Any]:
    """The ``script`` processor of a step."""
    params: dict[str, Any] = {
        "title": step.title,
        "text": step.text,
        "to": step.to,
        "separator": "\n",  # Painless strings know no escape for it
    }
    if step.document:
        params |= {"most": MAX_VALUES, "digits": MIN_DIGITS}
    source = _FUNCTIONS + _PASSAGE + _DOCUMENT if step.document else _PASSAGE
    return {"script": {"lang": "painless", "source": source.strip(), "params": params}}
