"""Units of measure: how they are written, and their names in CLDR."""

UNITS = {
    "km": "length-kilometer", "m": "length-meter", "cm": "length-centimeter", "mm": "length-millimeter",
    "µm": "length-micrometer", "nm": "length-nanometer", "mi": "length-mile", "ft": "length-foot", "yd": "length-yard",
    "km²": "area-square-kilometer", "m²": "area-square-meter", "cm²": "area-square-centimeter", "ha": "area-hectare",
    "sq ft": "area-square-foot", "m³": "volume-cubic-meter", "l": "volume-liter", "L": "volume-liter",
    "ml": "volume-milliliter", "mL": "volume-milliliter", "cl": "volume-centiliter", "dl": "volume-deciliter",
    "gal": "volume-gallon", "tsp": "volume-teaspoon", "tbsp": "volume-tablespoon", "kg": "mass-kilogram",
    "g": "mass-gram", "mg": "mass-milligram", "µg": "mass-microgram", "t": "mass-tonne", "lb": "mass-pound",
    "lbs": "mass-pound", "oz": "mass-ounce", "km/h": "speed-kilometer-per-hour", "mph": "speed-mile-per-hour",
    "m/s": "speed-meter-per-second", "mpg": "consumption-mile-per-gallon", "°C": "temperature-celsius",
    "°F": "temperature-fahrenheit", "°": "angle-degree", "h": "duration-hour", "min": "duration-minute",
    "s": "duration-second", "ms": "duration-millisecond", "µs": "duration-microsecond", "W": "power-watt",
    "kW": "power-kilowatt", "MW": "power-megawatt", "GW": "power-gigawatt", "kWh": "energy-kilowatt-hour",
    "kJ": "energy-kilojoule", "kcal": "energy-kilocalorie", "V": "electric-volt", "mA": "electric-milliampere",
    "Ω": "electric-ohm", "Hz": "frequency-hertz", "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz",
    "GHz": "frequency-gigahertz", "hPa": "pressure-hectopascal", "kPa": "pressure-kilopascal", "px": "graphics-pixel",
    "dpi": "graphics-dot-per-inch", "kB": "digital-kilobyte", "KB": "digital-kilobyte", "MB": "digital-megabyte",
    "GB": "digital-gigabyte", "TB": "digital-terabyte", "kB/s": "digital-kilobyte/duration-second",
    "KB/s": "digital-kilobyte/duration-second", "MB/s": "digital-megabyte/duration-second",
    "GB/s": "digital-gigabyte/duration-second", "kbit/s": "digital-kilobit/duration-second",
    "Mbit/s": "digital-megabit/duration-second", "Gbit/s": "digital-gigabit/duration-second", "%": "",
}  # fmt: skip
"""Symbol -> CLDR's name; with a slash, what is counted and per what."""

OTHER_SPELLINGS = {
    "км": "km", "м": "m", "см": "cm", "мм": "mm", "км²": "km²", "м²": "m²", "м³": "m³", "га": "ha", "л": "l",
    "мл": "ml", "кг": "kg", "мг": "mg", "км/ч": "km/h", "м/с": "m/s", "кВт": "kW", "Вт": "W", "Гц": "Hz", "ГБ": "GB",
    "МБ": "MB", "МБ/с": "MB/s", "Мбит/с": "Mbit/s", "kph": "km/h", "km2": "km²", "m2": "m²", "m3": "m³", "ft²": "sq ft",
    "℃": "°C", "º C": "°C", "° C": "°C", "٪": "%", "saat": "h", "hr": "h", "hrs": "h", "мин": "min", "sec": "s",
    "secs": "s", "μm": "µm", "μg": "µg", "mcg": "µg", "μs": "µs", "kbps": "kbit/s", "Kbps": "kbit/s", "kb/s": "kbit/s",
    "Mbps": "Mbit/s", "Mb/s": "Mbit/s", "Gbps": "Gbit/s", "Gb/s": "Gbit/s",
}  # fmt: skip
"""Other ways to write a symbol of `UNITS`."""

WORDS = {"cs": {"s"}, "es": {"mi"}, "fr": {"sec"}, "it": {"mi"}, "pt": {"mi"}}
"""Words of a language that look like units; they are none with a blank before them."""
