//! The words of passphrases: common ones, short, easy to spell and to tell from one another.

/// All of them in one text, with spaces between.
const TEXT: &str = "able acorn actor adult again agent alarm album alley amber ample anchor angle ankle apple april apron arch arena \
    armor arrow ashes aside aspen atlas attic audio autumn avenue award awning bacon badge bagel baker balcony ballet \
    bamboo banana banner barley barn barrel basil basin basket battle beach beacon beard beaver bench berry bicycle \
    birch bird biscuit black blanket blaze block bloom blue board boat bobbin bonfire bonnet book border bottle \
    boulder bowl box branch brass bread breeze brick bridge bright brook broom brother brown bubble bucket budget \
    buffalo bugle build bunker burrow butter button cabin cable cactus camel camera camp canal candle canoe canvas \
    canyon captain caravan cargo carpet carrot cart castle cattle cave cedar cellar cement center cereal chain chair \
    chalk channel chapel cheese cherry chess chest chicken chimney circle circus citrus city clay clever cliff clock \
    cloud clover coach coast cobalt cocoa coffee coin collar comet compass copper coral corner cotton couch cousin \
    cover cradle crane crater cream cricket crimson crown crystal cup curtain cushion cycle daisy dance dawn deck deer \
    delta denim desert desk diary dinner dish dock dolphin donkey door dove dozen dragon drawer dream drift drum duck \
    dust eagle early earth easel echo eclipse edge eight elbow elder elm ember emerald empty engine enjoy envoy equal \
    evening exact fable fabric falcon family farm feast feather fence fern ferry fiddle field fig finch finger fire \
    fish flag flame flask fleece flint float flood floor flour flower flute foam fog forest fork fossil fountain fox \
    frame fresh frost fruit galaxy gallery garden garlic gate gentle giant ginger glacier glass globe glove goat gold \
    goose grain granite grape grass gravel green grove guest guitar gull hammer hammock harbor harvest hat hawk hazel \
    heart hedge helmet herb heron hill hinge hollow honey hood hook horizon horse hotel house humble hunter ice igloo \
    indigo ink inlet iron island ivory ivy jacket jaguar jar jasmine jewel jigsaw jolly journey judge juice july \
    jungle juniper kayak kernel kettle key kitchen kite kitten knee knot koala label ladder lagoon lake lamp lantern \
    larch laurel lava lawn leaf lemon lens letter lettuce level light lilac lily lime linen lion lizard lobster log \
    lotus lucky lumber lunch lyric magnet mango maple marble march market marsh mask meadow melon memory mercury metal \
    meteor middle milk mill mimosa mineral mint mirror mitten moat mole moment monkey moon moose morning mosaic moss \
    motor mountain mouse mural music mustard napkin nature needle nephew nest nickel night noble noodle north nutmeg \
    oak oasis oats ocean olive onion opal orange orbit orchard orchid otter oval oven owl oyster paddle page paint \
    palace palm panda panel paper parade parcel parrot pasta path patrol peach peacock pearl pebble pencil pepper \
    piano picnic pigeon pillow pilot pine pioneer planet plate plaza plum pocket poem polar pond pony poppy potato \
    prairie prism pumpkin puzzle quail quartz quiet quilt rabbit radar radish raft rainbow raven reef ribbon river \
    robin rocket rose rubber ruby saddle saffron sail salad salmon sandal satin scarf school seal season shadow shell \
    shore silver sketch slate sparrow spoon spruce starling stone summer sunset";

/// How many there are: with 512, each word of a passphrase is worth 9 bits.
pub(super) const COUNT: usize = 512;

/// The words.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    TEXT.split(' ')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_as_many_words_as_is_said_and_no_two_are_alike() {
        let all: BTreeSet<_> = words().collect();
        assert_eq!((all.len(), words().count()), (COUNT, COUNT));
        let is_word = |word: &&str| (3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(all.iter().all(is_word));
    }
}
