"""What an independent parser (html5lib) finds in each page.

Reads lines of JSON {"path": of a gzip-ed page, "charset": that it was read with, or null}; prints lines of JSON
{"path", "title": text of the first HTML title element with ASCII white space collapsed, or null, "forms": number}.

The charset is given because browsers differ where a page declares none, and so do parsers: html5lib takes
windows-1252, the fetcher UTF-8 where the bytes are valid UTF-8.
"""

import gzip
import json
import re
import sys

import html5lib

HTML = "{http://www.w3.org/1999/xhtml}"


def facts(path, charset):
    with gzip.open(path) as page:
        bytes_ = page.read()
    tree = html5lib.parse(
        bytes_, treebuilder="etree", namespaceHTMLElements=True, override_encoding=charset
    )
    title = next(tree.iter(HTML + "title"), None)
    text = "".join(title.itertext()) if title is not None else ""
    text = re.sub("[\t\n\f\r ]+", " ", text).strip(" ")
    return {"path": path, "title": text or None, "forms": sum(1 for _ in tree.iter(HTML + "form"))}


for line in sys.stdin:
    page = json.loads(line)
    print(json.dumps(facts(page["path"], page["charset"])), flush=True)
