-- wrk: an article of about 1 KB, by the token in $COURANT_BENCH_TOKEN
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("COURANT_BENCH_TOKEN")
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"title":"Bench","lead":"A lead","content":"' .. string.rep("x", 900) .. '","tags":["a"]}'
