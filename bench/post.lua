-- wrk: articles as bench/article.h makes them, published at once, each with a title of its own, by the token in
-- $COURANT_BENCH_TOKEN
local threads = 0
local syllables = {"ka", "lo", "ri", "ten", "mu", "sa", "vor", "nei", "di", "pe", "gra", "shi", "el", "tu", "bo", "ness"}

function setup(thread)
   threads = threads + 1
   thread:set("id", threads)
end

local function syllable()
   return syllables[math.random(16)]
end

local function prose()
   local words, length = {}, 0
   while length + 20 < 900 do
      local word = syllable() .. syllable() .. syllable() .. (math.random(16) > 1 and " " or ".\\n\\n")
      words[#words + 1] = word
      length = length + #word
   end
   return table.concat(words) .. string.rep(".", 900 - length)
end

function init()
   wrk.method = "POST"
   wrk.headers["Authorization"] = "Bearer " .. os.getenv("COURANT_BENCH_TOKEN")
   wrk.headers["Content-Type"] = "application/json"
   number = os.time() * 1000000
   math.randomseed(os.time() + id)
   -- Made before the clock runs: wrk shares the cores with what is measured.
   rests = {}
   for i = 1, 1000 do
      rests[i] = '","lead":"A lead","content":"' .. prose() .. '","tags":["a"],"publish":true}'
   end
end

function request()
   number = number + 1
   return wrk.format(nil, nil, nil, '{"title":"Bench ' .. id .. " " .. number .. rests[number % 1000 + 1])
end
