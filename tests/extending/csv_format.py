"""A stranger's annotation format: a line of CSV for each object, with a polygon in one cell."""

import csv

from keras_maskrcnn.data import FORMATS, ItemError, Reader


@FORMATS.register("polygon_csv")
class PolygonCsv(Reader):
    """`picture,class,x y x y ...`; a line without class is a picture without objects."""

    title = "CSV of polygons"

    def finds(self, source):
        return any(head.startswith("picture,class,outline") for head in source.heads(".csv"))

    def read(self, source, found):
        for file in source.with_suffix(".csv"):
            with open(file, newline="", encoding="utf-8") as stream:
                self.read_lines(source.name_of(file), csv.DictReader(stream), found)

    def read_lines(self, file, lines, found):
        images = {}
        for number, line in enumerate(lines, 2):
            with found.item(f"{file}, line {number}"):
                name = line["picture"]
                if name not in images:
                    images[name] = found.add_picture(found.find_picture(name))
                if line["class"]:
                    polygon = numbers(line["outline"])
                    found.add_object(images[name], line["class"], parts=[polygon])


def numbers(text):
    try:
        return [float(value) for value in text.split()]
    except ValueError:
        raise ItemError("outline is not made of numbers", f" ({text[:40]})") from None
