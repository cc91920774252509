"""The lexicon of level 4: tables with many times the words of the levels below.

In: the small lexicon. Out: `EVERY_THING`, `EVERY_PLACE` … with both. The teller draws from them and
the checker reads with them; they share these *words* and no rule. Left out on purpose: nouns that
are two words, and nouns that are also a verb which the reader knows.
"""

from minillm.corpus.storyworld.words import (
    CLOTHES_LOOKS,
    COLOURS,
    DAYTIMES,
    GLAD,
    MUSIC_LOOKS,
    PAPER_LOOKS,
    PLACES,
    RIDE_LOOKS,
    SPOTS,
    THINGS,
    TOOL_LOOKS,
    TOY_LOOKS,
    UNHAPPY,
    WEATHERS,
    Thing,
)  # fmt: skip

TOY = TOY_LOOKS + tuple("bright dusty painted plastic rubber striped tiny".split())
TOOL = TOOL_LOOKS + tuple("blunt clean handy heavy iron plain rusty sharp sturdy".split())
CLOTHES = CLOTHES_LOOKS + tuple("checked cosy knitted silk spotted tight woollen".split())
PAPER = PAPER_LOOKS + tuple("crumpled faded folded handmade printed secret thin torn".split())
MUSIC = MUSIC_LOOKS + tuple("antique brass copper dented loud polished silver".split())
RIDE = RIDE_LOOKS + tuple("heavy quick rattling rusty silver smooth sturdy".split())
JEWEL = tuple(
    "ancient bright foreign fine glittering golden precious pretty rare round silver smooth "
    "sparkling strange tiny valuable".split()
)
SOFT = CLOTHES_LOOKS[:10] + tuple("cuddly fluffy floppy furry plump shaggy silky woolly".split())
DISH = COLOURS[:8] + tuple("big clean deep enamel flowery shallow steel tin".split())

# infinitive, past, looks, small things, big things
WIDE_TABLE = (
    ("throw", "threw", TOY, "frisbee boomerang javelin beanbag dart", ""),
    ("kick", "kicked", TOY, "football shuttlecock", ""),
    ("bounce", "bounced", TOY, "basketball volleyball", ""),
    ("roll", "rolled", TOY, "hoop tyre spool cylinder", "barrel"),
    ("spin", "spun", TOY, "spinner pinwheel gyroscope globe", ""),
    ("steer", "steered", TOY,
     "tractor tanker digger bulldozer lorry tram locomotive submarine hovercraft ferry", ""),
    ("launch", "launched", TOY, "rocket glider parachute airship", ""),
    ("sail", "sailed", TOY, "yacht sailboat schooner galleon", "raft"),
    ("row", "rowed", RIDE, "", "dinghy canoe kayak"),
    ("ride", "rode", RIDE, "", "tricycle velocipede skateboard wagon toboggan carriage"),
    ("push", "pushed", RIDE, "", "wheelbarrow pram trolley buggy"),
    ("pull", "pulled", RIDE, "", "handcart sleigh"),
    ("strum", "strummed", MUSIC, "banjo zither lute mandolin", "harp"),
    ("shake", "shook", MUSIC, "rattle maraca tambourine", ""),
    ("strike", "struck", MUSIC, "gong triangle xylophone bongo", ""),
    ("play", "played", MUSIC,
     "piccolo clarinet oboe saxophone harmonica fiddle accordion", "cello tuba organ"),
    ("blow", "blew", MUSIC, "bugle conch cornet", ""),
    ("light", "lit", TOOL, "lantern candle torch sparkler", ""),
    ("wear", "wore", CLOTHES,
     "helmet bonnet cape shawl apron mitten sweater jacket waistcoat wig costume poncho beret "
     "sandal tie glove", ""),
    ("admire", "admired", JEWEL,
     "bracelet necklace brooch badge medal trophy gem coin crystal pearl amber emerald sapphire "
     "amulet talisman fossil statue figurine vase painting portrait feather", ""),
    ("read", "read", PAPER,
     "diary poem newspaper magazine atlas dictionary postcard notebook leaflet scroll recipe "
     "encyclopedia novel", ""),
    ("write with", "wrote with", TOOL, "quill biro typewriter", ""),
    ("draw with", "drew with", TOOL, "chalk charcoal marker stencil", ""),
    ("sew with", "sewed with", TOOL, "needle thimble bobbin", ""),
    ("sweep with", "swept with", TOOL, "broom duster", ""),
    ("dig with", "dug with", TOOL, "shovel trowel hoe", ""),
    ("measure with", "measured with", TOOL, "ruler protractor yardstick", ""),
    ("cook with", "cooked with", DISH, "pan saucepan wok cauldron", ""),
    ("stir with", "stirred with", DISH, "spoon ladle whisk", ""),
    ("pour with", "poured with", DISH, "jug pitcher teapot kettle", ""),
    ("swing", "swung", TOY, "racket paddle lasso", ""),
    ("twirl", "twirled", TOY, "baton parasol streamer", ""),
    ("wave", "waved", TOY, "flag banner pennant wand handkerchief", ""),
    ("solve", "solved", PAPER, "riddle crossword maze", ""),
    ("cuddle", "cuddled", SOFT,
     "panda koala giraffe elephant dinosaur hippo walrus penguin bunny kangaroo", ""),
    ("open", "opened", PAPER, "parcel envelope purse locket casket", ""),
    ("hammer with", "hammered with", TOOL, "mallet anvil", ""),
    ("fill", "filled", DISH, "flask lunchbox satchel rucksack hamper jar thermos suitcase", ""),
    ("build with", "built with", TOY, "brick plank girder", ""),
    ("use", "used", TOOL,
     "telescope microscope magnet calculator thermometer stopwatch screwdriver spanner sieve "
     "funnel pump hose padlock periscope sundial kaleidoscope loudspeaker radio", ""),
)  # fmt: skip
WIDE_THINGS = {
    noun: Thing(noun, use, used, looks, is_small)
    for use, used, looks, small, big in WIDE_TABLE
    for nouns, is_small in ((small, True), (big, False))
    for noun in nouns.split()
}
EVERY_THING = THINGS | WIDE_THINGS

# place: at, in or on, then what a small thing lies under, behind, and in
PLACE_TABLE = """
bakery: in, counter oven flour|castle: at, throne pillar dungeon|harbour: at, crane crates cabin
museum: in, staircase curtain cupboard|station: at, timetable kiosk locker
zoo: at, sign cage straw|circus: at, stage tent sawdust|hospital: in, stretcher screen wardrobe
hotel: in, carpet sofa lobby|bookshop: in, globes bookcase cellar
theatre: in, balcony scenery chest|stable: in, manger saddle oats|mill: at, millstone sacks grain
island: on, palm boulder cave|mountain: on, overhang cliff snow
valley: in, footbridge hedge brambles|orchard: in, branches trunks clover
village: in, arch well ditch|airport: at, escalator gate luggage|cafe: in, stool fridge saucer
workshop: in, workbench shutters toolbox|greenhouse: in, vines pots soil
lighthouse: at, beacon railing tower|pool: at, springboard showers water
stadium: at, stand goal dugout|fair: at, carousel stall tombola|cottage: in, rug stove pantry
palace: in, chandelier armour treasury|campsite: at, tarpaulin caravan ashes
aquarium: in, tank pipes gravel|laundry: in, bench boiler linen|chapel: in, pew altar crypt
vineyard: in, trellis press barrels|quarry: at, ledge rubble pit|bus: on, seat driver bag
ship: on, deckchair mast hold|office: in, printer cabinet folder|gym: in, mat trampoline basket
studio: in, easel sculpture clay|dairy: at, churn milk butter|swamp: in, roots stump mud
desert: in, cactus dune dust|jungle: in, ferns creeper bamboo|observatory: at, dome stairs chart
bank: in, benches safe vault|pharmacy: in, shelves scales bottle|square: on, fountain monument ivy
canal: at, lock barge weeds|forge: at, hammers bellows embers
cinema: in, screens projector popcorn
"""
PLACE_ROWS = [row.replace(",", "").replace(":", "").split()
              for row in PLACE_TABLE.strip().replace("\n", "|").split("|")]
WIDE_PLACES = {
    f"the {place}": (
        f"{where} the {place}",
        tuple(f"{word} the {noun}" for word, noun in zip(("under", "behind", "in"), nouns)),
    )
    for place, where, *nouns in PLACE_ROWS
}
EVERY_PLACE = PLACES | WIDE_PLACES
EVERY_SPOT = SPOTS | {spot for _, spots in WIDE_PLACES.values() for spot in spots}

EVERY_WEATHER = WEATHERS + (
    "foggy misty stormy chilly frosty icy mild breezy dry wet damp grey bright clear humid dull "
    "drizzly freezing sultry golden glorious dark muggy hazy"
).split()
EVERY_DAYTIME = DAYTIMES + "night weekend holiday".split()
MONTHS = (
    "January February March April June July August September October November December".split()
)
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
SEASONS = "spring summer autumn winter".split()

EVERY_GLAD = GLAD + (
    "delighted merry content thrilled grateful overjoyed relieved excited amused satisfied"
).split()
EVERY_UNHAPPY = UNHAPPY + (
    "miserable gloomy heartbroken disappointed hurt lonely tearful downcast sorrowful unlucky"
).split()
TRAITS = (
    "curious brave shy quiet patient lively polite gentle bold cautious dreamy thoughtful "
    "friendly helpful cheeky stubborn generous modest lazy tidy restless nimble studious playful "
    "serious witty dashing graceful sensible hungry sleepy talkative loyal eager adventurous "
    "inventive musical sporty bookish"
).split()
# what somebody likes to do: a verb, and often what it is done to
HOBBIES = (
    "swim|sing|dance|whistle|bake bread|climb trees|collect shells|tell jokes|feed ducks|"
    "plant herbs|invent machines|copy maps|learn languages|sketch animals|explore ruins|"
    "gather mushrooms|train pigeons|study stars|practise magic|grow tomatoes|carve wood|"
    "make soup|skate|ski|juggle|wrestle|camp|hike|jog|cook noodles|weave baskets|"
    "identify birds|count clouds|chase butterflies|compose songs|rehearse plays|watch trains|"
    "visit grandparents|pick berries|repair engines|dress up puppets|pretend"
).split("|")
KIN = (
    "mother father aunt uncle grandmother grandfather cousin neighbour godmother sister brother "
    "teacher"
).split()
JOBS = (
    "baker carpenter doctor nurse farmer fisherman gardener plumber tailor sailor librarian vet "
    "postman painter singer potter blacksmith miller dentist judge lawyer pilot firefighter "
    "shepherd jeweller locksmith musician journalist engineer scientist astronaut barber butcher "
    "florist grocer cobbler clown acrobat conductor detective chemist mechanic weaver beekeeper "
    "electrician"
).split()
FOODS = (
    "apple pear plum peach banana cherry melon apricot biscuit pancake sandwich muffin waffle bun "
    "pretzel pie tart doughnut sausage omelette carrot radish cucumber pizza dumpling pudding "
    "croissant bagel brownie lollipop strawberry nectarine fig tangerine coconut"
).split()
# who or what is seen and heard, and what it did
CREATURE_TABLE = (
    ("sparrow robin finch blackbird wren nightingale skylark canary", "sang chirped fluttered"),
    ("owl hawk eagle heron stork seagull raven kestrel falcon", "circled swooped perched"),
    ("hare rabbit squirrel fox badger hedgehog weasel otter beaver", "scurried hopped vanished"),
    ("butterfly bee dragonfly beetle moth ladybird grasshopper wasp", "buzzed hovered settled"),
    ("puppy kitten terrier spaniel poodle collie", "barked slept stretched"),
    ("cow goat donkey sheep lamb foal ox", "grazed dozed wandered"),
    ("frog toad newt lizard snail turtle salamander", "crawled croaked rested"),
    ("goose swan duck hen rooster turkey peacock", "strutted waddled cackled"),
)  # fmt: skip
CREATURES = {
    creature: did.split() for creatures, did in CREATURE_TABLE for creature in creatures.split()
}
LANDMARKS = (
    "near the roof|near the pond|by the river|near the windmill|near the lawn|by the oak|"
    "near the pine|by the stream|near the chimney|near the path|by the willow|near the gatepost|"
    "near the statues|by the hut|near the hill|by the road|near the windowsill|near the birch|"
    "by the waterfall|near the dam|near the pavement|by the porch|near the shore|by the maple|"
    "near the puddle|by the lamppost|near the signpost|by the jetty|near the chestnut|by the tracks"
).split("|")
HOW = (
    "quickly slowly quietly gently proudly eagerly calmly politely bravely softly patiently "
    "happily hastily carefully kindly shyly firmly warmly promptly thoughtfully briskly timidly "
    "solemnly readily silently swiftly"
).split()
