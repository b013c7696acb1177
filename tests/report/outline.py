"""python3 outline.py FILE.html: what a report consists of, as JSON, read by a parser that is not ours.

Exits with a message where elements do not nest, an id is not one of a kind, or a link leads nowhere."""
import json
import sys
from html.parser import HTMLParser

VOID = {"meta", "wbr", "link", "img", "br", "hr", "input"}


class Outline(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.targets = [], [], []
        self.elements, self.attributes, self.roles = {}, [], []
        self.lang, self.title, self.headings, self.tables, self.text = None, "", [], [], []
        self.style, self.policy, self.notices, self.figures = "", None, [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if len(values) != len(attrs):
            sys.exit(f"<{tag}> has an attribute twice")
        self.elements[tag] = self.elements.get(tag, 0) + 1
        self.attributes += [[tag, name, value] for name, value in attrs]
        if "id" in values:
            self.ids.append(values["id"])
        self.targets += [values[name][1:] for name in ("href",) if values.get(name, "").startswith("#")]
        self.targets += [word for name in ("aria-labelledby", "aria-describedby") for word in values.get(name, "").split()]
        if tag == "html":
            self.lang = values.get("lang")
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        if tag == "table":
            self.tables.append({"caption": "", "head": [], "rows": [], "scopes": []})
        if tag == "tr":
            self.row = []
        if tag in ("th", "td"):
            self.cell = []
            if tag == "th":
                self.tables[-1]["scopes"].append(values.get("scope"))
        if tag in ("h1", "h2", "h3"):
            self.headings.append([tag, ""])
        if tag == "p" and "notice" in values.get("class", ""):
            self.notices.append([values["class"], ""])
        if tag == "strong":
            self.figures.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            sys.exit(f"</{tag}> closes something else, at {self.getpos()}")
        if tag in ("th", "td"):
            self.row.append([" ".join(line.split()) for line in self.cell if line.split()])
        if tag == "tr":
            table = self.tables[-1]
            (table["rows"] if "tbody" in self.open else table["head"]).append(self.row)

    def handle_data(self, data):
        if not self.open:
            return
        inside = self.open[-1]
        if inside == "style":
            self.style += data
            return
        self.text.append(data)
        if inside == "title" and "svg" not in self.open:
            self.title += data
        for heading in ("h1", "h2", "h3"):
            if heading in self.open:
                self.headings[-1][1] += data
        if "caption" in self.open:
            self.tables[-1]["caption"] += data
        if "strong" in self.open:
            self.figures[-1] += data
        if inside in ("p", "code") and self.notices and "p" in self.open:
            self.notices[-1][1] += data
        if "th" in self.open or "td" in self.open:
            self.cell.append(data)


outline = Outline()
outline.feed(open(sys.argv[1], encoding="utf-8").read())
outline.close()
if outline.open:
    sys.exit(f"never closed: {outline.open}")
if len(set(outline.ids)) != len(outline.ids):
    sys.exit("an id stands twice")
lost = set(outline.targets) - set(outline.ids)
if lost:
    sys.exit(f"leads nowhere: {lost}")
kept = ("elements", "attributes", "lang", "title", "headings", "tables", "style", "policy", "figures")
print(json.dumps({name: getattr(outline, name) for name in kept} | {"text": "".join(outline.text)}))
