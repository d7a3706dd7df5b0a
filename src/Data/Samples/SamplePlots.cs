// The plots of the sample stories. Each is a small tale of its own: somebody wants something, something is in the way,
// somebody helps, and it ends well. StoryTeller explains the slots; to add a tale, write one more here.

namespace LlamaFullstack.Data.Samples;

internal static class SamplePlots
{
    /// <summary>All plots; a story takes one, each as likely as the next.</summary>
    public static readonly Plot[] All =
    [
        new("a lost toy",
            """
            spot
            under an old bench
            behind the apple tree
            in the tall grass
            under a pile of leaves
            beside the pond
            next to the gate
            in a bush with white flowers
            at the bottom of the hill
            """,
            """
            {opening}
            {Hero} had {a color} {toy}. {He} [played with it every day|took it everywhere|loved it very much].
            / {His} favorite toy was {a color} {toy}. It was a gift from {his} {elder}.
            / {He} had {a color} {toy} and played with it all the time.
            {Day}, {hero} could not find the {toy}. {He} looked {indoors}. {He} looked {indoors2}. But it was not there.
            / But {day}, the {toy} was gone. {Hero} looked {indoors} and {indoors2}, but {he} could not find it.
            {He} {sorrow}.

            {A helper} [came by|heard {him}|saw {him}] and asked, "[What is wrong, {hero}?|Why are you so sad?|Can I help you?]"
            "I lost my {color} {toy}," said {hero}. "[It is my favorite toy.|I have looked everywhere.|Have you seen it?]"
            "[Do not worry|Do not cry|Do not be sad]," said the {helper}. "I [saw|think I saw] something {color} {spot}. [Come with me!|Let us go and look!|Follow me!]"

            They [ran|walked|hurried] there together. And there it was! The {color} {toy} was {spot}.
            / They [ran|walked|hurried] outside together. The {helper} was right. The {toy} was {spot}!
            {Hero} {joy}. "Thank you, thank you!" {he} said.
            / "You found it!" said {hero}, and {he} {joy}.
            {Hero} let the {helper} play with the {toy} too. [They had fun until the sun went down.|They played all afternoon.|They were both very happy.]
            / {Hero} and the {helper} played together for the rest of the day.
            From that day on, {hero} always put the {toy} [back in the toy box|away before dinner|in a safe place at night].
            / That night, {hero} put the {toy} next to {his} bed. {He} [fell asleep with a smile|would never lose it again].
            """),

        new("learning to share",
            """
            lesson
            food tastes better when you share it
            sharing makes everyone happy
            a friend is better than a full tummy
            it feels good to share
            there is always enough for two
            """,
            """
            {opening}
            {Day}, {his} {elder} gave {him} {a treat}. "[This is for you|Enjoy it|I made it just for you], {hero}," said {his} {elder}.
            / {Hero} loved good food. {Day}, {he} got {a treat} from {his} {elder}.
            {Hero} sat down {outdoors}. {He} wanted to eat everything {himself}.

            [Just then|Soon], {a friend kind} named {friend} came by. "That [looks so good|smells so good|looks yummy]," said {friend}. "[May|Can] I have [some|a little], please?"
            / [Just then|Soon], {his} friend {friend} came by. {Friend} was {a friend kind}. "I am so hungry," said {friend}. "Can I have a little bit?"
            "No!" said {hero}. "[It is all mine|This is only for me|I want it all]!"
            {Friend} [looked down|was sad] and walked away.

            {Hero} took a bite. But it did not taste so good. {He} [thought of|looked at] {friend}, [who was all alone|who was still hungry], and {he} felt bad.
            / {Hero} began to eat. But it was no fun to eat alone. {He} [thought about|looked at] {friend} and felt sorry.
            "{Friend}, wait!" {he} called. "[I am sorry.|I was not nice.|That was not kind of me.] Please come and eat with me."
            {Friend} came back with a [big|happy|bright] smile. They sat [under a tree|on a log|side by side in the grass] and shared the {treat}.
            "[Thank you|You are a good friend], {hero}," said {friend}. "[This is the best day!|That was so good!|Next time I will share with you.]"
            {Hero} was happy too. {He} had learned that {lesson}.
            / Now it tasted wonderful. {Hero} knew that {lesson}.
            / From then on, the two friends always shared. They knew that {lesson}.
            """),

        new("a fear that goes away",
            """
            fear; moment; advice; deed; truth
            the dark; one night, the lamp went out and the room was very dark; Take this little light and look at every corner; took the little light and looked at every corner; There were no monsters. There were only toys and a chair
            thunder; one night, there was a big storm and the thunder went boom; Count to three after every flash; counted to three after every flash; The thunder went farther and farther away
            the big slide; {day}, all the other children went down the big slide; Sit down first and hold on tight; sat down and held on tight; Whoosh! It was fast, and it was so much fun
            deep water; {day}, everyone jumped into the lake; Put in one foot, and then the other; put in one foot, and then the other; The water was warm, and soon {he} was splashing
            the big dog next door; {day}, the big dog came to the fence and barked; Hold out your hand and let him smell it; held out one hand, and the dog smelled it; The dog wagged his tail. He only wanted to play
            the old bridge; {day}, they had to walk over the old bridge; Do not look down. Look at me and take small steps; looked up and took small steps; The bridge was strong and did not move at all
            singing in front of people; {day}, it was time for the big show; Take a deep breath and sing just for me; took a deep breath and began to sing; Everyone listened, and then they all clapped
            riding a bike; {day}, everyone was riding a bike in the street; Look at the end of the street and not at your feet; looked far ahead and started to ride; The bike did not fall. It went straight down the street
            """,
            """
            {opening}
            {Hero} was not afraid of much, but {he} was afraid of {fear}.
            / There was only one thing that {hero} did not like. {He} was scared of {fear}.
            {Moment}. {Hero} [began to shake|wanted to run away|hid behind {his} {elder}].
            "[I cannot do it|I am scared|I want to go home]," said {hero}.

            [{His} {elder} took {his} hand.|{His} {elder} gave {him} a hug.|{His} {elder} sat down next to {him}.] "[Everyone is scared sometimes|It is okay to be scared|I was scared once too]," said {his} {elder}. "{Advice}. I am right here."
            / {His} {elder} [smiled|was very kind]. "I know what helps," {he:elder} said. "{Advice}. You can do it!"
            {Hero} thought about it. {He} [was still a little scared|took a deep breath|wanted to be brave], but {he} tried. {He} {deed}.
            / {Hero} waited for a moment. Then {he} nodded. {He} {deed}.
            {Truth}.

            "I did it!" {hero} [said|shouted|cried]. {He} {joy}.
            / {Hero} [began to laugh|started to smile]. "It is not so bad!" {he} said.
            "I am so proud of you," said {his} {elder}. "[You were very brave.|Being brave means that you try.]"
            After that, {hero} was not afraid of {fear} anymore.
            / From that day on, {hero} was much braver. And when {friend}, {his} friend, was scared, {hero} knew how to help.
            """),

        new("an animal in trouble",
            """
            animal; trouble; tool; rescue
            kitten; high up in a tree. It could not get down; ladder; climbed up the ladder and carried the kitten down
            baby bird; on the ground. It had fallen out of its nest; ladder; climbed up the ladder and put the baby bird back in its nest
            lamb; deep in the mud. It could not move; rope; pulled and pulled on the rope until the lamb was free
            bee; in a puddle. Its wings were too wet to fly; big leaf; held out the big leaf, and the bee climbed onto it
            puppy; under a fence. It could not get out; small shovel; dug with the small shovel until the puppy could crawl out
            turtle; on its back. It could not turn over; long stick; turned the turtle over with the long stick
            duckling; in a bush with sharp thorns; pair of gloves; put on the gloves and lifted the duckling out
            little fish; in a tiny pool. The pool was almost dry; bucket; filled the bucket with water and carried the little fish to the lake
            """,
            """
            {opening}
            {Day}, {hero} was [walking|playing] {outdoors} when {he} heard a [small|strange|sad] sound.
            / {Day}, {hero} went out to play {outdoors}. There was a [small|strange|sad] sound.
            {He} looked around and saw {a animal}. The {animal} was {trouble}.
            / It was {a animal}! It was {trouble}.
            "[Oh no|Poor thing]!" said {hero}. "[Do not be afraid|Do not worry], little one. [I will help you|I will get you out|I will be right back]."

            {Hero} [tried to help|tried and tried], but {he} could not do it alone. So {he} ran to {his} {elder}. "[Please come quickly|Please help]! {A animal} is in trouble!"
            / {Hero} ran home as fast as {he} could. "[Please help|Please come with me]!" {he} told {his} {elder}. "{A animal} needs us!"
            {His} {elder} [brought|found|got] a {tool}. [Together|Very slowly and carefully], they {rescue}.
            The {animal} was safe. [It looked at {hero} and made a happy sound.|It looked at {hero} as if to say thank you.]

            {Hero} {joy}. "[You are safe now|Be careful, little one]," {he} said.
            "You have a good heart," said {his} {elder}.
            / "I am glad that you asked for help," said {his} {elder}. "That was very smart."
            The next day, the {animal} came back to see {hero}. From then on, they were friends.
            / After that, the {animal} came to visit every day. {Hero} had a new friend.
            / {Hero} never forgot that day. {He} had learned that [even small ones can help|it is good to ask for help|kindness makes new friends].
            """),

        new("a warning not heard",
            """
            warning; wish; deed; trouble; care
            touch the hot pot; the soup smelled so good; lifted the lid of the pot; Ouch! It was very hot, and it hurt; put {his} hand in cold water
            climb on the old wall; {he} wanted to see what was on the other side; climbed up on the wall; A stone was loose. {He} slipped and fell into a bush; put a bandage on {his} knee
            run near the pond; {he} saw a little frog; ran after the frog; Splash! {He} fell into the cold water; wrapped {him} in a dry towel
            eat the green apples; the apples looked so shiny; ate three of the apples; Soon {his} tummy began to hurt; gave {him} a cup of warm tea
            open the bird cage; the bird sang so sweetly; opened the little door; The bird flew out and sat on the roof; called the bird back with some seeds
            play ball in the house; the new ball was so much fun; threw the ball as high as {he} could; Crash! The ball hit the blue vase, and the vase broke; picked up all the pieces with {him}
            jump on the bed; the bed was so big and soft; jumped higher and higher; Bump! {He} fell off and hit {his} head; put some ice on the bump
            pull the cat's tail; the tail moved from side to side; pulled the tail; The cat was angry. It scratched {his} hand; washed {his} hand and put a bandage on it
            """,
            """
            {opening}
            {Day}, {his} {elder} told {him}, "Please do not {warning}, {hero}."
            / {His} {elder} [always said|often told {him}], "{Hero}, do not {warning}."
            "[Okay|Yes, I know]," said {hero}.
            But {wish}. [{Hero} forgot what {his} {elder} had said.|{Hero} thought, "Just one time!"|{Hero} looked around. Nobody was there.] {He} {deed}.
            / But {wish}. {He} could not wait. {He} {deed}.

            {Trouble}. {Hero} [started to cry|called for help|was very sorry].
            {His} {elder} [came running|ran to {him}|heard the noise and came]. "What happened?" {he:elder} asked.
            [{Hero} wanted to tell a lie, but {he} did not.|{Hero} looked down at {his} feet.] "I did not listen to you," {he} said. "I am sorry."
            / "I did it, and you told me not to," said {hero}. "I am so sorry."
            {His} {elder} {care}. Then {he:elder} gave {hero} a hug. "[Thank you for telling me the truth|I am glad that you told me the truth]," {he:elder} said.

            {Hero} felt better. {He} never [did it again|forgot that day]. From then on, {he} [always listened to {his} {elder}|thought first and listened well].
            / {Hero} learned [that it is good to listen|that a warning is there to keep {him} safe|to listen and to tell the truth].
            """),

        new("try, and try again",
            """
            thing; failure; advice; change; success
            tower of blocks; it fell down with a loud crash; Put the big blocks at the bottom; put the big blocks at the bottom; The tower was tall and did not fall
            paper kite; it would not fly; It needs a longer tail; gave it a long tail with ribbons; The kite flew up, up, up to the clouds
            wooden boat; it tipped over in the water; Make it wide and flat; made it wide and flat; The boat floated all the way across the pond
            scarecrow; its head fell off; Use a thicker stick; used a thicker stick; The scarecrow stood tall and even had a carrot nose
            sand castle; a wave washed it away; Build it farther from the water; built it farther from the water; The castle stood there all day, with a flag on top
            bird house; the rain came in; Make the roof bigger; made the roof bigger; Soon a little bird moved in and sang a song
            tent of sticks; the wind blew it down; Push the sticks deep into the ground; pushed the sticks deep into the ground; The wind blew again, but the tent stayed up
            little cart; a wheel fell off; Use a longer nail for the wheel; used a longer nail; The cart rolled down the road without a problem
            """,
            """
            {opening}
            {Day}, {hero} wanted to make a {thing}. {He} worked [all morning|very hard|for a long time].
            / {Hero} liked to make things. {Day}, {he} [started|began] to make a {thing}.
            But when {he} was done, {failure}.
            {Hero} was [sad|angry|upset]. "[I cannot do it|It is no use|I give up]," {he} said.
            / "Oh no!" said {hero}. {He} tried again, but it was the same. {He} {sorrow}.

            {His} friend {friend} saw it. {Friend} was {a friend kind} who liked to help. "Do not give up," said {friend}. "{Advice}."
            / {A friend kind} named {friend} [stopped to look|was watching]. "I have an idea," said {friend}. "{Advice}. I will help you."
            "[That is a good idea|I will try|Let us do it]!" said {hero}.
            {Hero} and {friend} worked together. This time, they {change}.

            [It worked!|And look!|They stepped back and looked.] {Success}.
            {Hero} {joy}. "We did it!" {he} [said|cried|shouted].
            "[You see|I knew it]," said {friend}. "[You only had to try again.|Two heads are better than one.|It is good to try again.]"
            {Hero} and {friend} were very proud. They [showed it to everyone|made another one the next day|played until it was dark].
            / From that day on, when something was hard, {hero} did not give up. {He} [tried again|asked a friend and tried again].
            """),

        new("a new friend",
            """
            corner; reason
            on a swing; I just moved here and I do not know anyone
            under a tree; Nobody asked me to play
            on a bench; I am new here and I have no friends yet
            by the fence; I do not know how to play your game
            at the edge of the grass; I was too shy to ask
            """,
            """
            {opening}
            {Day}, {hero} went to the [park|playground|meadow] to play {game} with {his} friends.
            / {Hero} liked to play {game} [in the park|in the meadow]. {Day}, {he} went there again.
            {He} saw {a friend kind} {corner}, all alone. [The {friend kind} looked sad.|Nobody was talking to {him:friend}.]
            / There was {a friend kind} {corner}. {He:friend} was all alone and looked [sad|lonely].

            {Hero} went over and said, "Hello! I am {hero}. What is your name?"
            "My name is {friend}," said the {friend kind} [in a small voice|very quietly]. "{Reason}."
            "[Do you want to|Would you like to] play {game} with us?" asked {hero}. "[It is easy.|I will show you how.|It is more fun with more friends.]"
            {Friend} [smiled for the first time|looked up and smiled]. "[Yes, please|I would love to]!" {he:friend} said.

            They played {game} all [day|afternoon]. {Friend} was very [good at it|fast|funny], and everyone laughed.
            / So they all played {game} together. {Friend} [ran and laughed|was not shy anymore].
            When it was time to go home, {friend} gave {hero} {a color} [flower|stone|ribbon|feather]. "[Thank you for asking me|You are my first friend here]," {he:friend} said.
            / When the sun went down, {friend} said, "[This was my best day here|I am so glad that I met you]."
            {Hero} was happy. {He} [knew that a kind word can make a friend|had a new friend, and it only took a hello].
            / After that, {hero} and {friend} [were best friends|played together every day|were never lonely again].
            """),

        new("a rainy day",
            """
            plan; idea; scene
            fly {his} kite; We can make a tent out of blankets; They put blankets over two chairs and crawled inside. {His} {elder} told a story by the light of a lamp
            go to the park; We can have a picnic on the floor; They put a blanket on the floor and ate bread and cheese. {Hero} pretended that the rug was grass
            ride {his} bike; We can bake cookies; They mixed the flour, the butter and the sugar. Soon the whole house smelled sweet
            swim in the lake; We can make paper boats; They folded ten paper boats and let them float in the bathtub
            look for shells; We can paint pictures; {Hero} painted a big yellow sun, a green hill and a house with a red door
            play in the garden; We can put on a play; {Hero} wore a paper crown and sang a funny song. Everyone clapped
            climb the big hill; We can build a castle out of boxes; They put the boxes on top of each other and made a door and two windows
            """,
            """
            {opening}
            {Hero} wanted to {plan}. But when {he} looked out of the window, it was raining.
            / One day, {hero} woke up early because {he} wanted to {plan}. But there were dark clouds, and soon it began to rain.
            "[Oh no|It is not fair]!" said {hero}. "Now I cannot {plan}." {He} [was very sad|put {his} face in {his} hands|did not want to eat {his} breakfast].

            {His} {elder} [had an idea|smiled|thought for a moment]. "[The rain is not so bad|We can have fun at home too]," {he:elder} said. "{Idea}!"
            {Scene}.
            {Hero} [laughed and laughed|was having so much fun|was not sad anymore]. {He} forgot all about the rain.

            [Then|After a while], the rain stopped, and the sun came out. There was a big rainbow in the sky!
            / [In the afternoon|Later], {hero} looked out of the window again. The rain had stopped, and {he} saw a bright rainbow.
            "[Look|Do you see it]?" said {hero}. "It is so pretty!"
            "[Yes|It is]," said {his} {elder}. "[Without rain there is no rainbow|We needed the rain for that]."
            {Hero} gave {his} {elder} a hug. "[This was the best rainy day ever|I like rainy days now]," {he} said.
            / {Hero} [learned|now knew] that a day can be good, even when it [rains|does not start well].
            """),

        new("a gift",
            """
            gift; making; answer
            a picture of a garden; took out {his} paints and painted flowers, a tree and a blue sky; I will hang it on the wall
            a necklace of shells; went to the beach, found the prettiest shells and put them on a string; I will wear it every day
            a birthday card; took some paper, drew a big heart and wrote, "I love you"; I will keep it forever
            a bunch of flowers; went to the meadow and picked flowers in every color; They smell so sweet
            a song; sat down under a tree and made up a song, line by line; I want to hear it again
            a small cake; mixed eggs, flour and sugar and put a strawberry on top; It is the best cake that I ever had
            a clay bowl; took some clay and made a bowl with little stars on it; I will put my buttons in it
            a warm scarf; found some soft yarn and learned how to make a scarf; Now I will never be cold
            """,
            """
            {opening}
            It was almost {his} {elder}'s birthday. {Hero} wanted to give {him:elder} [something nice|a gift]. But {he} had no money.
            / {Day}, {hero} heard that it would soon be {his} {elder}'s birthday. {He} wanted to give {him:elder} a gift, but {he} had no money at all.
            {He} went to the shop and looked in the window. Everything cost too much. {Hero} [walked home slowly|was sad].

            On the way, {he} met {friend}. {Friend} was {a friend kind}. "[Why do you look so sad|What is wrong]?" asked {friend}.
            "I want to give my {elder} a gift," said {hero}, "but I cannot buy one."
            "You do not have to buy it," said {friend}. "[You can make one|Make something with your own hands]!"
            "[You are right|What a good idea]!" said {hero}. {He} decided to make {gift}. {He} {making}.
            / {Hero} thought and thought. Then {he} had an idea. {He} would make {gift}! {He} {making}.

            [The next day|That evening], {hero} said, "Happy birthday! [This is for you.|I made this for you.]"
            {His} {elder} was so happy that {he:elder} almost cried. "[Thank you, {hero}|How wonderful]!" {he:elder} said. "{Answer}."
            {Hero} {joy}. {He} knew that [the best gifts come from the heart|a gift does not have to cost money|love is the best gift of all].
            """),

        new("a race",
            """
            hero kind; fast; trouble; help
            turtle; rabbit; fell into a deep hole; held out a long branch, and {friend} climbed out
            snail; grasshopper; got caught in a spider web; cut the web, and {friend} was free
            turtle; fox; got a thorn in one foot; pulled out the thorn very gently
            hedgehog; horse; could not get across the stream; showed {friend} where the big stones were
            mole; deer; got stuck between two trees; pushed and pushed until {friend} was free
            duck; rabbit; fell into the water and could not swim; swam out and brought {friend} back to the land
            """,
            """
            {opening}
            {Hero} was slow, but {he} never gave up. {Friend} was {a fast}, and {he:friend} was [very fast|the fastest of all].
            / {He} had a friend named {friend}, {a fast} who could run very fast. {Hero} was slow.
            "[You are too slow|You are the slowest {hero kind} in the world]," said {friend}. {He:friend} laughed. "I will always win!"
            "[Let us have a race|Let us race to the big tree]," said {hero}. "[Then we will see.|I will do my best.]"

            The race began. One, two, three, go! {Friend} ran [like the wind|ahead] and was soon far away. {Hero} went on, step by step.
            But {friend} did not look where {he:friend} was going. {He:friend} {trouble}! "Help!" {he:friend} cried.
            [Soon|After some time], {hero} came along. {He} could win the race now! But {hero} stopped. {He} {help}.
            / Then {hero} came by. {He} saw that {friend} needed help. {He} forgot about the race. {He} {help}.

            "Why did you stop?" asked {friend}. "You could win!"
            "A friend is more important than a race," said {hero}.
            {Friend} [was quiet for a moment|felt bad]. "I am sorry that I laughed at you," {he:friend} said. "[You are a true friend|You are the best]."
            They [walked|went] to the big tree together, side by side. [So they both won.|Everyone clapped for both of them.]
            After that, {friend} never laughed at {hero} again. [They were good friends.|They raced every week, just for fun.]
            / {Friend} learned that [it is better to be kind than to be fast|being fast is not everything].
            """),

        new("a seed",
            """
            plant; wonder; harvest
            sunflower; a tall yellow sunflower, taller than {hero}; gave some of the seeds to the birds
            tomato; a plant with round red tomatoes; made a big bowl of soup for everyone
            pumpkin; a huge orange pumpkin; baked a pumpkin pie for the whole street
            strawberry; a plant full of sweet strawberries; ate them all together in the sun
            bean; a plant with long green beans that went up and up; cooked the beans for dinner
            rose; a bush with pink roses; put the roses in a vase by the window
            carrot; a row of crunchy carrots; gave the biggest carrot to a hungry rabbit
            """,
            """
            {opening}
            {Day}, {his} {elder} gave {him} a tiny {plant} seed. "[Put it in the ground and give it water|Plant it and take good care of it]," said {his} {elder}.
            / {Day}, {hero} found a little seed. "What is it?" {he} asked. "It is a {plant} seed," said {his} {elder}. "[Let us plant it|You can plant it in the garden]."
            {Hero} made a small hole, put in the seed and gave it some water. Then {he} sat down and waited.

            {He} waited all day, but nothing happened. The next day, there was still nothing. "[It does not grow|I think it is broken]," said {hero}. {He} was [sad|upset].
            / The next morning, {hero} ran to look. There was only dirt. {He} looked every day, but there was nothing to see. "Why does it not grow?" {he} asked.
            {A helper} [sat on the fence|was listening]. "[You have to wait|Good things take time]," said the {helper}. "[Give it water and sun, and be patient.|It is sleeping. Give it some water every day.]"
            So {hero} gave it water every morning. {He} sang to it, too.

            Then, [one day|one morning], there was a tiny green leaf! {Hero} {joy}. "It is growing!" {he} cried.
            The plant grew [and grew|bigger every day]. At the end of the summer, there was {wonder}.
            {Hero} and {his} {elder} {harvest}. [It was a happy day.|Everyone was happy.]
            {Hero} was glad that {he} had [waited|not given up]. {He} learned [to be patient|that good things take time].
            """),

        new("a quarrel",
            """
            mending
            fixed it with some glue
            fixed it with a little tape
            took it to {his} {elder}, who knew how to fix it
            put it back together, piece by piece
            """,
            """
            {opening}
            {Hero} had a friend named {friend}. {Friend} was {a friend kind}. They played together every day.
            / {His} best friend was {a friend kind} named {friend}. They [did everything together|always had fun].
            {Day}, they found {a color} {toy} {outdoors}. "[It is mine|I saw it first]!" said {hero}.
            / {Day}, they both wanted to play with the {color} {toy}. "[It is my turn|I want it now]!" said {hero}.
            "No, [it is mine|I want it]!" said {friend}. {He:friend} pulled on one side, and {hero} pulled on the other.
            Then there was a [loud|bad] sound. Crack! The {toy} broke.

            "[Look what you did|It is your fault]!" shouted {hero}. They were both angry. {Friend} went home [and did not say goodbye|without a word].
            {Hero} sat in {his} room, all alone. [It was very quiet.|There was nobody to play with.] {He} missed {his} friend.
            {His} {elder} asked, "[What is more important, a toy or a friend|Would you like to have the toy or your friend]?" {Hero} knew the answer.

            {Hero} [ran|went] to {friend}'s house. "I am sorry that I pulled," {he} said.
            "I am sorry too," said {friend}. "[I missed you|I was not nice to you]."
            They took the {toy} and {mending}. [Now it was almost as good as new.|It looked a little funny, but it worked.]
            Then they took turns. First {friend} played with it, and then {hero} did. It was much more fun that way.
            / "You go first," said {hero}. "No, you go first," said {friend}. And they both laughed.
            After that, they [never fought over a toy again|always took turns|were better friends than before].
            """),

        new("a noise at night",
            """
            noise; place; source; ending
            tap, tap, tap; at the window; It was only a branch that moved in the wind; {Hero} waved at the branch and said good night to it
            scratch, scratch; behind the door; It was a little puppy that wanted to come in; The puppy lay down at the end of the bed and slept there all night
            squeak, squeak; under the bed; It was a small mouse with a piece of cheese; {Hero} gave the mouse one more piece and went back to bed
            hoo, hoo; outside, in the old tree; It was an owl with big round eyes; The owl sang until {hero} fell asleep
            drip, drip, drip; in the kitchen; It was only water that fell into the sink; They turned off the water, and it was quiet
            snore, snore; in the living room; It was only the old dog, who slept on the rug; They put a blanket over the old dog and tiptoed away
            crunch, crunch; in the kitchen; It was the hamster, and it was eating a carrot; They gave the hamster one more carrot and said good night
            meow, meow; on the roof; It was a kitten that could not get down; They helped the kitten down and gave it some milk
            """,
            """
            {opening}
            One night, {hero} was in bed. {He} [was almost asleep|could not sleep]. Then {he} heard a noise. {Noise}!
            / One [dark|cold|windy] night, {hero} woke up. There was a strange noise. {Noise}!
            "[What is that|Who is there]?" {hero} whispered. {He} pulled the blanket over {his} head. The noise came again. {Noise}!
            "[Is it a monster|Maybe it is a ghost]?" thought {hero}. {He} [was very scared|held {his} {toy} tight].

            {Hero} ran to {his} {elder}. "[I heard a noise|There is something strange]!" {he} said. "It is {place}!"
            "[Let us go and look together|Come, we will look together]," said {his} {elder}. {He:elder} took a lamp, and they [walked very slowly|went on tiptoe].
            The noise was {place}. {Hero} [looked with one eye|took a deep breath and looked]. {Source}!

            {Hero} began to laugh. "[I was scared of that|It is not a monster at all]!" {he} said.
            "[Many things seem scary in the dark|It is good that we looked]," said {his} {elder}.
            {Ending}.
            {Hero} was not scared anymore. {He} closed {his} eyes and [slept until the morning|had sweet dreams].
            / After that night, {hero} was never afraid of a noise again. {He} always went to look [first|what it was].
            """),

        new("the way home",
            """
            lure; wonder
            butterfly; It was blue and gold and danced in the air
            white rabbit; It had long ears and hopped very fast
            shiny beetle; It was green like a jewel
            red leaf; It flew in the wind like a little bird
            baby deer; It had white spots on its back
            firefly; It blinked like a tiny star
            dragonfly; Its wings were clear like glass
            """,
            """
            {opening}
            {Day}, {hero} was playing {outdoors}. {He} saw a {lure}. {Wonder}.
            / {Day}, {hero} saw a {lure} {outdoors}. {Wonder}. {Hero} had never seen anything so pretty.
            "[Wait for me|Where are you going]!" {he} called, and {he} ran after it. {He} ran [past the last house|over the hill] and into the forest.
            / {He} wanted to [see it up close|catch it], so {he} ran after it. {He} did not see that {he} was going into the forest.

            Then the {lure} was gone. {Hero} looked around. There were trees everywhere, and {he} did not know the way home.
            {He} {sorrow}. It was getting [dark|late|cold].
            {A helper} [came out from behind a tree|heard {him}]. "Are you lost?" asked the {helper}.
            "Yes," said {hero}. "I want to go home to my {elder}."
            "[Do not be afraid|I know the forest well]," said the {helper}. "[I know the way|I will take you home|Just follow me]."

            They went [past a big rock and over a little bridge|along the stream and under the tall trees|through the ferns and around a big old tree]. At last, {hero} could see a light. It was {his} house!
            {His} {elder} was standing at the door. "[There you are|I was so worried]!" {he:elder} said, and {he:elder} held {hero} tight.
            / "{Hero}!" called {his} {elder}. {He:elder} ran to {him} and gave {him} a long hug.
            {Hero} turned around to thank the {helper}. "[You are a good friend|Come and see me soon]," {he} said.
            From then on, {hero} never went into the forest alone. But {he} often met the {helper} [by the first tree|at the gate], and they played together.
            / {Hero} learned [to tell someone before {he} goes far away|to stay close to home]. And {he} had a new friend.
            """),

        new("finders are not keepers",
            """
            thing; owner; search; reward
            silver watch; the baker; It was my father's watch, and I looked for it all day; a warm bread with butter
            bag of coins; the farmer; That money is for my new cow; a basket of fresh eggs
            golden ring; the teacher; I lost it on the way to school; a book with many pictures
            little brown purse; the old lady next door; All my money was in it; a slice of her best cake
            key; the toy maker; I could not open my shop without it; a small wooden horse
            music box; the girl across the street; My mom gave it to me; a ride on her pony
            umbrella; the mailman; I was so wet without it; a letter with a funny stamp
            """,
            """
            {opening}
            {Day}, {hero} found {a thing} {outdoors}. It was [very nice|so pretty]. {Hero} looked around, but nobody was there.
            / {Day}, {hero} was walking home when {he} saw {a thing} on the ground. {He} picked it up and put it in {his} pocket.
            "[I found it, so it is mine|I will keep it|Now it is mine]," {hero} thought. {He} [felt lucky|was happy].

            Then {he} met {friend}, {his} friend. {Hero} showed {him:friend} the {thing}. "[Look what I found|See what I have]!" {he} said.
            {Friend} [thought for a moment|did not smile]. "[Somebody is looking for it|Somebody must be very sad now]," said {friend}. "[How would you feel?|What if it was yours?|You should give it back.]"
            {Hero} did not [want to hear that|like that]. But that night, {he} could not sleep. {He} knew that {friend} was right.
            / {Hero} looked at the {thing} for a long time. It did not make {him} happy anymore.

            [The next day|In the morning], {hero} and {friend} asked everyone they met. At last, they came to {owner}.
            "Did you lose {a thing}?" asked {hero}.
            "Yes!" said {owner}. "{Search}. [Thank you, thank you|I am so happy]!"
            {Hero} gave back the {thing}. {Owner} gave {hero} and {friend} {reward}.
            "[It feels good to give it back|I am glad that I listened to you]," said {hero}, and {friend} [smiled|nodded].
            / {Hero} {joy}. {He} had lost {a thing}, but {he} felt better than before. {He} knew that it is good to be honest.
            """),
    ];
}
