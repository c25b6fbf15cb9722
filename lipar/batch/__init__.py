"""Many clips: what is edited, by which workers, what became of each, and what need not be done again.

    manifest, folder, clips -> ClipRow   one clip: source, output, prompts, config   manifest.py, rows.py, places.py
    ClipRow                 -> Outcome   a worker edits it, or finds it finished     worker.py, record.py
    workers                              in this process, or many of Ray             plain.py, on_ray.py
    Outcome                 -> report    a table, and a page                         report.py, page.py

What a worker has done is in a small file beside each output, and nowhere else: whatever is killed, the next run reads
these files and goes on.
"""
