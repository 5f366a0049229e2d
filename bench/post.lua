-- wrk: articles of about 1 KB, each with a title of its own, by the token in $COURANT_BENCH_TOKEN
local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("id", threads)
end

function init()
   wrk.method = "POST"
   wrk.headers["Authorization"] = "Bearer " .. os.getenv("COURANT_BENCH_TOKEN")
   wrk.headers["Content-Type"] = "application/json"
   number = os.time() * 1000000
   rest = '","lead":"A lead","content":"' .. string.rep("x", 900) .. '","tags":["a"]}'
end

function request()
   number = number + 1
   return wrk.format(nil, nil, nil, '{"title":"Bench ' .. id .. " " .. number .. rest)
end
