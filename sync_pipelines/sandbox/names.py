"""Invented names and words. Nobody and no company here is meant to exist."""

GIVEN = (
    "Abel", "Adaora", "Aino", "Alvar", "Amira", "Anselm", "Ayo", "Beatrix", "Berit", "Calum", "Chiyo", "Cosima",
    "Dagny", "Dario", "Delphine", "Eamon", "Ebba", "Edda", "Elif", "Emeka", "Esra", "Fenna", "Ferran", "Gaia",
    "Giorgos", "Hanako", "Haruki", "Idris", "Ilse", "Imani", "Ines", "Ivo", "Jannik", "Jaya", "Jolanda", "Kaito",
    "Kalle", "Katya", "Kofi", "Laszlo", "Leocadia", "Linnea", "Lorcan", "Maeve", "Maïwenn", "Malin", "Mateus",
    "Mirela", "Nadim", "Naoki", "Nerea", "Niamh", "Nils", "Odalys", "Oluchi", "Orla", "Osman", "Paloma", "Petra",
    "Quirin", "Radka", "Ragnhild", "Rafael", "Roza", "Sabine", "Saoirse", "Selim", "Siobhán", "Sixten", "Sunniva",
    "Tadeo", "Tamsin", "Teodor", "Thandiwe", "Tove", "Ulla", "Valeska", "Viggo", "Wanda", "Xanthe", "Yara", "Yusuf",
    "Zdenka", "Zoë", "Åse", "Øyvind", "美咲", "Никита",
)  # fmt: skip
FAMILY = (
    "Abernethy", "Adeyinka", "Albrecht", "Arslanbek", "Baptistella", "Beaumanoir", "Birkeland", "Bukowiec",
    "Castellane", "Chukwuma", "Corrigan", "D'Ambrosio", "Dalgaard", "de la Vega", "Dragomir", "Ekström", "El-Sayed",
    "Ferreira", "Fitzwilliam", "Galanis", "Grimaldo", "Habermas", "Haldane", "Hashimura", "Holmqvist", "Iwasaki",
    "Jankowiak", "Jørgensen", "Kaczmarek", "Kestenbaum", "Kirwan", "Kowalczyk", "Laukkanen", "Lindqvist", "Lubomir",
    "MacAllister", "Marchetti", "Mbeki-Jones", "Montclair", "Müller", "Nakagawa", "Nwosu", "O'Connell", "O'Shaughnessy",
    "Okonkwo", "Ó Briain", "Palmgren", "Papadakis", "Quispe", "Rasmussen", "Ravensdale", "Saarinen", "Sakamoto",
    "Santángel", "Schönfeld", "Silvestre", "Skarsgård", "St. Clair", "Szymański", "Tanaka-Ruiz", "Tchaikov", "Thibault",
    "Uzunoglu", "van der Meer", "Vasquez", "Villanueva", "Wadsworth", "Wielgosz", "Yamazaki", "Yıldız", "Zabłocki",
    "Zimmerli",
)  # fmt: skip
COMPANY_FIRST = (
    "Amber", "Anchor", "Arctic", "Aspen", "Basalt", "Beacon", "Birch", "Blue Heron", "Bramble", "Bright", "Cedar",
    "Cinder", "Cobalt", "Copper", "Coral", "Crescent", "Delta", "Dovetail", "Echo", "Ember", "Falcon", "Fern",
    "Foxglove", "Gable", "Garnet", "Granite", "Harbor", "Hazel", "Helio", "Indigo", "Ivory", "Juniper", "Kestrel",
    "Lantern", "Lark", "Linden", "Lumen", "Maple", "Marble", "Meridian", "Mistral", "Moss", "Nimbus", "North Pier",
    "Oak & Iron", "Onyx", "Opal", "Orchard", "Osprey", "Pebble", "Pine", "Quarry", "Quill", "Raven", "Rowan", "Saffron",
    "Sable", "Sierra", "Silver", "Slate", "Spruce", "Summit", "Tamarind", "Teal", "Thistle", "Umber", "Velvet",
    "Verdant", "Willow", "Zephyr",
)  # fmt: skip
COMPANY_SECOND = (
    "Analytics", "Apparel", "Automation", "Bakery", "Biotech", "Brewing", "Capital", "Carriers", "Ceramics", "Clinics",
    "Consulting", "Dairy", "Design", "Energy", "Farms", "Fitness", "Foods", "Freight", "Furniture", "Games", "Gardens",
    "Health", "Hotels", "Instruments", "Interiors", "Labs", "Legal", "Logistics", "Machines", "Marine", "Media",
    "Mobility", "Motors", "Optics", "Outfitters", "Packaging", "Pharma", "Press", "Printing", "Robotics", "Software",
    "Steel", "Studios", "Supply", "Systems", "Textiles", "Tools", "Travel", "Vision", "Works",
)  # fmt: skip
COMPANY_FORM = ("Inc.", "LLC", "Ltd", "GmbH", "& Co.", "Group", "S.A.", "AB", "株式会社", "Oy")
CITIES = (
    ("Aldermoor", "Ohio", "43210", "United States"),
    ("Port Lorne", "Maine", "04101", "United States"),
    ("Brackwater", "Oregon", "97201", "United States"),
    ("Nether Wick", "Kent", "CT1 2AB", "United Kingdom"),
    ("Sankt Orlen", "Tirol", "6020", "Austria"),
    ("Fjordvik", "Vestland", "5003", "Norway"),
    ("Łęczna Dolna", "Mazowieckie", "00-950", "Poland"),
    ("São Vale", "Minas Gerais", "30110-002", "Brazil"),
    ("みなと台", "神奈川県", "220-0012", "Japan"),
    ("Kilbrannon", "Cork", "T12 X8N6", "Ireland"),
)
STREETS = ("Mill Lane", "Station Road", "Harbour Street", "Kastanienallee", "Rue des Lilas", "Elm Avenue", "Via Roma")
INDUSTRIES = (
    "Agriculture", "Biotechnology", "Construction", "Consulting", "Education", "Energy", "Finance", "Healthcare",
    "Hospitality", "Insurance", "Manufacturing", "Media", "Retail", "Technology", "Transportation",
)  # fmt: skip
TITLES = (
    "Account Director", "Buyer", "CFO", "Chief of Staff", "CTO", "Head of Operations", "Office Coordinator",
    "Plant Supervisor", "Procurement Lead", "VP Sales", "Software Engineer", "",
)  # fmt: skip
WORDS = (
    "agreed", "annual", "asked", "budget", "call", "contract", "customer", "decision", "delivery", "demo", "discount",
    "follow-up", "invoice", "launch", "legal", "meeting", "migration", "next", "offer", "order", "pilot", "pricing",
    "proposal", "quarter", "renewal", "review", "rollout", "sample", "security", "support", "team", "training", "trial",
)  # fmt: skip
