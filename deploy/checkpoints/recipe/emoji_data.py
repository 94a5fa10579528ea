"""The pictures and captions: a hand-picked subset of Noto Emoji, as the npm package `emoji-datasource-google` ships it.

The package is the only download of the whole recipe:

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz     # makes ./package
"""

import json
from pathlib import Path

import numpy as np
import PIL.Image

# short_name: "name | other name | …", each name a caption without its template. Colour words stand only where the
# picture really has that colour.
SUBSET = {
    # faces
    "smiley": "a smiling face | a happy yellow face | a smiley",
    "joy": "a face with tears of joy | a laughing face",
    "heart_eyes": "a face with heart eyes | a face in love",
    "sunglasses": "a face with sunglasses | a cool face",
    "sob": "a crying face | a sad crying face",
    "rage": "an angry red face | an angry face",
    "nauseated_face": "a sick green face | a green face",
    "cold_face": "a cold blue face | a freezing face",
    "smiling_imp": "a purple devil | a devil face",
    "skull": "a skull | a white skull",
    "ghost": "a ghost | a white ghost",
    "alien": "an alien | an alien face",
    "robot_face": "a robot | a robot face",
    "clown_face": "a clown | a clown face",
    "jack_o_lantern": "a pumpkin | a jack o lantern | a halloween pumpkin",
    # animals
    "monkey_face": "a monkey | a monkey face",
    "dog": "a dog | a dog face | a puppy",
    "cat": "a cat | a cat face | a kitten",
    "fox_face": "a fox | an orange fox | a fox face",
    "lion_face": "a lion | a lion face",
    "tiger": "a tiger | a tiger face",
    "unicorn_face": "a unicorn | a unicorn face",
    "cow": "a cow | a cow face",
    "pig": "a pig | a pink pig | a pig face",
    "mouse": "a mouse | a mouse face",
    "rabbit": "a rabbit | a bunny | a rabbit face",
    "bear": "a bear | a brown bear | a bear face",
    "panda_face": "a panda | a panda face",
    "koala": "a koala | a grey koala",
    "frog": "a frog | a green frog",
    "baby_chick": "a baby chick | a yellow chick | a chick",
    "penguin": "a penguin",
    "owl": "an owl | a brown owl",
    "duck": "a duck",
    "parrot": "a parrot",
    "flamingo": "a flamingo | a pink flamingo",
    "turtle": "a turtle | a green turtle",
    "snake": "a snake | a green snake",
    "whale": "a whale",
    "dolphin": "a dolphin",
    "fish": "a fish | a blue fish",
    "tropical_fish": "a tropical fish | a yellow fish",
    "octopus": "an octopus",
    "crab": "a crab | a red crab",
    "snail": "a snail",
    "butterfly": "a butterfly | an orange butterfly",
    "bee": "a bee | a honey bee",
    "ladybug": "a ladybug | a red ladybug",
    "elephant": "an elephant | a grey elephant",
    "zebra_face": "a zebra | a zebra face",
    "bat": "a bat",
    # plants
    "rose": "a rose | a red rose",
    "sunflower": "a sunflower | a yellow sunflower",
    "tulip": "a tulip | a pink tulip",
    "cactus": "a cactus | a green cactus",
    "evergreen_tree": "a pine tree | a green tree | an evergreen tree",
    "palm_tree": "a palm tree",
    "mushroom": "a mushroom | a red mushroom",
    "four_leaf_clover": "a four leaf clover | a green clover",
    "maple_leaf": "a maple leaf | an autumn leaf",
    # fruit and vegetables
    "apple": "a red apple | an apple",
    "green_apple": "a green apple",
    "pear": "a pear | a green pear",
    "tangerine": "an orange | an orange fruit | a tangerine",
    "lemon": "a lemon | a yellow lemon",
    "banana": "a banana | a yellow banana",
    "watermelon": "a watermelon | a slice of watermelon",
    "grapes": "grapes | purple grapes",
    "strawberry": "a strawberry | a red strawberry",
    "cherries": "cherries | red cherries",
    "peach": "a peach",
    "pineapple": "a pineapple",
    "kiwifruit": "a kiwi | a kiwi fruit",
    "avocado": "an avocado | a green avocado",
    "tomato": "a tomato | a red tomato",
    "eggplant": "an eggplant | a purple eggplant",
    "carrot": "a carrot | an orange carrot",
    "broccoli": "broccoli | green broccoli",
    # food
    "hamburger": "a hamburger | a burger",
    "pizza": "a pizza | a slice of pizza",
    "fries": "french fries | fries",
    "doughnut": "a doughnut | a donut",
    "cookie": "a cookie | a chocolate chip cookie",
    "birthday": "a birthday cake | a cake",
    "icecream": "ice cream | an ice cream cone",
    "lollipop": "a lollipop",
    "pretzel": "a pretzel",
    "fried_egg": "a fried egg | a fried egg in a pan",
    "popcorn": "popcorn",
    "coffee": "a cup of coffee | coffee",
    "beer": "a beer | a mug of beer",
    "wine_glass": "a glass of wine | red wine",
    "cheese_wedge": "cheese | yellow cheese",
    # weather and space
    "sunny": "the sun | a yellow sun | a sun",
    "cloud": "a cloud | a white cloud",
    "rain_cloud": "a rain cloud | rain",
    "snowflake": "a snowflake | a blue snowflake",
    "snowman_without_snow": "a snowman",
    "rainbow": "a rainbow",
    "zap": "lightning | a lightning bolt",
    "star": "a star | a yellow star",
    "crescent_moon": "a crescent moon | a moon",
    "ringed_planet": "a planet | saturn | a planet with a ring",
    "earth_africa": "the earth | planet earth | a globe",
    "fire": "fire | a flame",
    "droplet": "a water drop | a blue drop | water",
    # vehicles and places
    "car": "a red car | a car",
    "bus": "a bus",
    "taxi": "a taxi | a yellow taxi",
    "tractor": "a tractor",
    "airplane": "an airplane | a plane",
    "rocket": "a rocket | a space rocket",
    "helicopter": "a helicopter | a yellow helicopter",
    "boat": "a sailboat | a boat",
    "flying_saucer": "a ufo | a flying saucer",
    "bike": "a bicycle | a bike",
    "house": "a house",
    "tent": "a tent | a camping tent",
    # objects
    "soccer": "a soccer ball | a football",
    "basketball": "a basketball | an orange basketball",
    "tennis": "a tennis racket | a tennis racket and ball",
    "8ball": "an eight ball | a billiard ball",
    "guitar": "a guitar",
    "bell": "a bell | a yellow bell | a golden bell",
    "key": "a key | a golden key",
    "lock": "a lock | a padlock",
    "bulb": "a light bulb",
    "book": "an open book | a book",
    "green_book": "a green book",
    "pencil2": "a pencil",
    "scissors": "scissors",
    "magnet": "a magnet | a red magnet",
    "bomb": "a bomb | a black bomb",
    "crown": "a crown | a golden crown",
    "gem": "a diamond | a blue diamond | a gem",
    "gift": "a gift | a present",
    "balloon": "a balloon | a red balloon",
    "trophy": "a trophy | a golden trophy",
    "alarm_clock": "an alarm clock | a clock",
    "hourglass": "an hourglass",
    "camera": "a camera",
    "umbrella": "an umbrella | a purple umbrella",
    "teddy_bear": "a teddy bear",
    "christmas_tree": "a christmas tree",
    "anchor": "an anchor",
    "dart": "a dart board | a target",
    "game_die": "a dice | a game die",
    # hearts and plain shapes
    "heart": "a red heart | a heart",
    "orange_heart": "an orange heart",
    "yellow_heart": "a yellow heart",
    "green_heart": "a green heart",
    "blue_heart": "a blue heart",
    "purple_heart": "a purple heart",
    "black_heart": "a black heart",
    "broken_heart": "a broken heart",
    "red_circle": "a red circle",
    "large_blue_circle": "a blue circle",
    "large_green_circle": "a green circle",
    "large_yellow_circle": "a yellow circle",
    "large_red_square": "a red square",
    "large_blue_square": "a blue square",
    "large_green_square": "a green square",
    "large_yellow_square": "a yellow square",
}

# The VAE and the tokenizer know all of these. The text-to-image model leaves out some of the finest drawn ones, so that
# it converges in minutes on a CPU, and learns some others later than the rest (train_sd.py --subset).
LEFT_OUT = """
    clown_face ghost mouse duck parrot snake dolphin tropical_fish snail elephant zebra_face bat broccoli
    lollipop pretzel fried_egg popcorn coffee bus tractor helicopter flying_saucer bike tent tennis guitar
    lock green_book scissors alarm_clock hourglass camera game_die
""".split()
LATER = """
    joy sob cold_face robot_face tiger unicorn_face cow rabbit koala owl flamingo turtle whale octopus crab
    butterfly bee palm_tree four_leaf_clover maple_leaf kiwifruit beer cookie fries rain_cloud snowflake
    snowman_without_snow airplane boat 8ball book teddy_bear anchor wine_glass house taxi birthday soccer bomb
    umbrella trophy
""".split()

DRAWN = [s for s in SUBSET if s not in LEFT_OUT]
FIRST = [s for s in DRAWN if s not in LATER]
TEMPLATES = [
    "{}",
    "{}",
    "{}",
    "an emoji of {}",
    "a picture of {}",
    "a drawing of {}",
    "an icon of {}",
    "{} emoji",
    "{}, emoji style",
    "{} on a white background",
]
FACES = [
    "smiley",
    "heart_eyes",
    "sunglasses",
    "rage",
    "nauseated_face",
    "cold_face",
    "smiling_imp",
    "alien",
    "jack_o_lantern",
    "monkey_face",
    "cat",
    "fox_face",
    "lion_face",
    "pig",
    "panda_face",
    "frog",
]


def names(short: str) -> list[str]:
    """Every name of one emoji, the commonest first."""
    return [name.strip() for name in SUBSET[short].split("|")]


def captions(short: str) -> list[str]:
    """All captions of one emoji, the bare name three times so that short prompts weigh most."""
    return [template.format(name) for name in names(short) for template in TEMPLATES]


def files(package: Path, subset: tuple[str, ...] | list[str] = tuple(SUBSET)) -> dict[str, Path]:
    """The 64 x 64 PNG of each emoji, by short name. Raises SystemExit where the package has no Noto picture of it."""
    entries = json.loads((package / "emoji.json").read_text(encoding="utf-8"))
    by_name = {entry["short_name"]: entry for entry in entries}
    found = {}
    for short in subset:
        if not by_name[short]["has_img_google"]:
            raise SystemExit(f"{short} has no Noto picture")
        found[short] = package / "img" / "google" / "64" / by_name[short]["image"]
    return found


def open_on_white(path: Path) -> PIL.Image.Image:
    """A picture without its transparency."""
    image = PIL.Image.open(path).convert("RGBA")
    ground = PIL.Image.new("RGBA", image.size, (255, 255, 255, 255))
    ground.alpha_composite(image)
    return ground.convert("RGB")


def variants(path: Path) -> list[PIL.Image.Image]:
    """The picture, mirrored, a little smaller, and both: so that seeds differ."""
    image = open_on_white(path)
    mirrored = image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    return [image, mirrored, _smaller(image), _smaller(mirrored)]


def _smaller(image: PIL.Image.Image, scale: float = 0.875) -> PIL.Image.Image:
    side = round(image.width * scale)
    ground = PIL.Image.new("RGB", image.size, (255, 255, 255))
    at = (image.width - side) // 2
    ground.paste(image.resize((side, side), PIL.Image.LANCZOS), (at, at))
    return ground


def pixels(images: list[PIL.Image.Image]) -> np.ndarray:
    """Pictures as one float32 array, N x 3 x H x W, from -1 to 1."""
    return np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1 for image in images])
