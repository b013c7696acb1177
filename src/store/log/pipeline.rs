//! Blocks through the engine: one thread reads and writes, others judge, and the order stays.
//!
//! Reading and writing cost about as much as judging, and compressing costs more than both: two threads that judge
//! keep two cores busy in every case. Each thread takes every second block, so that results are collected in order
//! without sorting. A file of a single block is judged on the spot.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::blocks::{Block, Blocks, Part};
use super::codec::{Codec, Writer};
use super::engine::{Engine, Judgement, Mode, Output, Tally, Verdict};

/// Threads that judge: more would wait for the one that reads.
const WORKERS: usize = 2;

/// Blocks on their way: each holds a buffer for what comes in and one for what goes out.
const ON_THEIR_WAY: usize = 4;

/// A block, and what became of it.
#[derive(Debug, Default)]
struct Work {
    block: Block,
    out: Vec<u8>,
    /// What goes into the file, where it is compressed here.
    member: Option<Vec<u8>>,
    /// Whether what is written is `out`, or the block.
    edited: bool,
}

/// What is done with the results.
pub(super) struct Task<'t> {
    pub(super) judgement: &'t Judgement,
    pub(super) codec: Codec,
    /// Where what stays is written; `None` counts only.
    pub(super) writer: Option<Writer<'t>>,
}

impl Work {
    /// Judges a block of whole lines.
    fn judge(mut self, engine: &mut Engine<'_>, mode: Mode, codec: Codec, tally: &mut Tally) -> io::Result<Work> {
        self.out.clear();
        self.edited = engine.lines(self.block.bytes(), mode, &mut self.out, tally) == Output::Changed;
        if mode == Mode::Write {
            self.compress(codec)?;
        }
        Ok(self)
    }

    fn compress(&mut self, codec: Codec) -> io::Result<()> {
        let used = self.member.take().unwrap_or_default();
        self.member = codec.member(self.result(), used)?;
        Ok(())
    }

    fn result(&self) -> &[u8] {
        if self.edited { &self.out } else { self.block.bytes() }
    }
}

impl Task<'_> {
    fn mode(&self) -> Mode {
        if self.writer.is_some() { Mode::Write } else { Mode::Count }
    }

    fn take(&mut self, work: &Work) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write(work.member.as_deref().unwrap_or(work.result())),
            None => Ok(()),
        }
    }

    fn finish(self) -> io::Result<()> {
        self.writer.map_or(Ok(()), Writer::finish)
    }
}

/// Judges what `source` holds, to its end.
pub(super) fn run(source: impl Read, task: Task<'_>) -> io::Result<Tally> {
    let size = task.codec.block_size();
    run_in_blocks(source, task, size)
}

/// The same in blocks of `size` bytes.
pub(super) fn run_in_blocks(source: impl Read, mut task: Task<'_>, size: usize) -> io::Result<Tally> {
    let mut blocks = Blocks::new(source, size);
    let Some(mut engine) = task.judgement.engine() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut tally = Tally::default();
    let Some(first) = blocks.next(Block::default())? else {
        task.finish()?;
        return Ok(tally);
    };
    let (mode, codec) = (task.mode(), task.codec);
    match blocks.next(Block::default())? {
        None if first.part == Part::Lines => {
            let work = Work { block: first, ..Work::default() }.judge(&mut engine, mode, codec, &mut tally)?;
            task.take(&work)?;
        }
        second => {
            let ahead = [Some(first), second].into_iter().flatten();
            thread::scope(|scope| {
                let mut crew = Crew::hire(scope, task.judgement, mode, codec);
                let mut long = LongLine { engine: &mut engine, mode, codec, verdict: None, counted: false };
                for block in ahead {
                    crew.pass_on(block, &mut task, &mut long, &mut tally)?;
                }
                while let Some(block) = blocks.next(crew.spare_block())? {
                    crew.pass_on(block, &mut task, &mut long, &mut tally)?;
                }
                crew.dismiss(&mut task, &mut tally)
            })?;
        }
    }
    task.finish()?;
    Ok(tally)
}

/// One thread that judges.
struct Worker {
    to: SyncSender<Work>,
    from: Receiver<io::Result<(Work, Tally)>>,
}

/// The threads that judge, and what is on its way to and from them.
struct Crew {
    workers: Vec<Worker>,
    given: usize,
    taken: usize,
    spare: Vec<Work>,
}

impl Crew {
    fn hire<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        judgement: &'env Judgement,
        mode: Mode,
        codec: Codec,
    ) -> Crew {
        let workers = (0..WORKERS)
            .map(|_| {
                let (to, works) = sync_channel::<Work>(ON_THEIR_WAY);
                let (results, from) = sync_channel(ON_THEIR_WAY);
                scope.spawn(move || {
                    let Some(mut engine) = judgement.engine() else { return };
                    for work in works {
                        let mut tally = Tally::default();
                        let done = work.judge(&mut engine, mode, codec, &mut tally).map(|work| (work, tally));
                        if results.send(done).is_err() {
                            return;
                        }
                    }
                });
                Worker { to, from }
            })
            .collect();
        Crew { workers, given: 0, taken: 0, spare: Vec::new() }
    }

    /// A block whose buffer can be used again.
    fn spare_block(&mut self) -> Block {
        self.spare.last_mut().map(|work| std::mem::take(&mut work.block)).unwrap_or_default()
    }

    fn pass_on(
        &mut self,
        block: Block,
        task: &mut Task<'_>,
        long: &mut LongLine<'_, '_>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        if block.part != Part::Lines {
            // What comes before it must be written before it.
            while self.taken < self.given {
                self.take_one(task, tally)?;
            }
            return long.piece(block, task, tally, &mut self.spare);
        }
        if self.given - self.taken == ON_THEIR_WAY {
            self.take_one(task, tally)?;
        }
        let work = Work { block, ..self.spare.pop().unwrap_or_default() };
        let worker = &self.workers[self.given % WORKERS];
        worker.to.send(work).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.given += 1;
        Ok(())
    }

    fn take_one(&mut self, task: &mut Task<'_>, tally: &mut Tally) -> io::Result<()> {
        let worker = &self.workers[self.taken % WORKERS];
        let (work, counted) = worker.from.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))??;
        self.taken += 1;
        tally.add(&counted);
        task.take(&work)?;
        self.spare.push(work);
        Ok(())
    }

    fn dismiss(mut self, task: &mut Task<'_>, tally: &mut Tally) -> io::Result<()> {
        while self.taken < self.given {
            self.take_one(task, tally)?;
        }
        Ok(())
    }
}

/// A line that is longer than a block, piece by piece.
struct LongLine<'e, 'j> {
    engine: &'e mut Engine<'j>,
    mode: Mode,
    codec: Codec,
    verdict: Option<Verdict>,
    /// Whether it counts among those that change.
    counted: bool,
}

impl LongLine<'_, '_> {
    fn piece(&mut self, block: Block, task: &mut Task<'_>, tally: &mut Tally, spare: &mut Vec<Work>) -> io::Result<()> {
        let mut work = Work { block, ..spare.pop().unwrap_or_default() };
        work.out.clear();
        let output = match self.verdict {
            None => {
                let before = tally.matches;
                let (output, verdict) = self.engine.long_line(work.block.bytes(), self.mode, &mut work.out, tally);
                self.verdict = Some(verdict);
                self.counted = tally.matches > before;
                output
            }
            Some(verdict) => self.engine.long_rest(work.block.bytes(), verdict, self.mode, &mut work.out),
        };
        work.edited = output == Output::Changed;
        if work.edited && !self.counted {
            tally.matches += 1;
            self.counted = true;
        }
        if work.block.part == Part::LineTail {
            self.verdict = None;
        }
        if self.mode == Mode::Write {
            work.compress(self.codec)?;
        }
        task.take(&work)?;
        spare.push(work);
        Ok(())
    }
}
