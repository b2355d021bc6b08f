//! A small native server for comparison: one thread for each model takes what waits, up to 64 rows, and runs it as one batch. It checks no more
//! than parsing does, and knows no deadlines. Usage: native-server LIBONNXRUNTIME FOLDER PORT.

use std::{env, path::Path, sync::mpsc, thread};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use ort::{
    environment::Environment,
    session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue},
    value::Tensor,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MOST_ROWS: usize = 64;

type Fault = Box<dyn std::error::Error>;
type Inputs = Vec<(&'static str, SessionInputValue<'static>)>;

#[derive(Deserialize)]
struct Input<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
struct Request<T> {
    inputs: Vec<Input<T>>,
}

#[derive(Serialize)]
struct Output {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 2],
    data: Vec<f32>,
}

#[derive(Serialize)]
struct Answer {
    model_name: &'static str,
    outputs: [Output; 1],
}

struct Job<T> {
    inputs: Vec<Input<T>>,
    done: oneshot::Sender<Vec<f32>>,
}

struct Model<T> {
    name: &'static str,
    output: &'static str,
    queue: mpsc::Sender<Job<T>>,
}

/// Starts a model's thread. `join` makes one batch of several requests.
fn start<T: Send + 'static>(
    mut session: Session,
    name: &'static str,
    output: &'static str,
    join: fn(&[Job<T>]) -> ort::Result<Inputs>,
) -> &'static Model<T> {
    let (queue, jobs) = mpsc::channel::<Job<T>>();
    let options = RunOptions::new().expect("options").with_outputs(OutputSelector::no_default().with(output));
    thread::spawn(move || {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            while batch.len() < MOST_ROWS {
                let Ok(next) = jobs.try_recv() else { break };
                batch.push(next);
            }
            let results = join(&batch).and_then(|inputs| run(&mut session, inputs, &options)).expect("a run");
            let width = results.len() / batch.len();
            for (job, row) in batch.into_iter().zip(results.chunks(width)) {
                // A client may have gone.
                let _ = job.done.send(row.to_vec());
            }
        }
    });
    Box::leak(Box::new(Model { name, output, queue }))
}

fn run(session: &mut Session, inputs: Inputs, options: &RunOptions<HasSelectedOutputs>) -> ort::Result<Vec<f32>> {
    let results = session.run_with_options(inputs, options)?;
    Ok(results[0].try_extract_tensor::<f32>()?.1.to_vec())
}

async fn infer<T: DeserializeOwned + Send + 'static>(
    State(model): State<&'static Model<T>>,
    Json(Request { inputs }): Json<Request<T>>,
) -> Result<Json<Answer>, StatusCode> {
    let (done, answer) = oneshot::channel();
    let sent = model.queue.send(Job { inputs, done });
    sent.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let data = answer.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let output = Output { name: model.output, datatype: "FP32", shape: [1, data.len()], data };
    Ok(Json(Answer { model_name: model.name, outputs: [output] }))
}

fn rows_of_features(jobs: &[Job<f32>]) -> ort::Result<Inputs> {
    let rows: Vec<f32> = jobs.iter().flat_map(|job| &job.inputs[0].data).copied().collect();
    let width = rows.len() / jobs.len();
    Ok(vec![("features", Tensor::from_array(([jobs.len(), width], rows))?.into())])
}

/// Requests of different lengths, filled up with zeros that the mask leaves out.
fn padded_ids(jobs: &[Job<i64>]) -> ort::Result<Inputs> {
    let longest = jobs.iter().map(|job| job.inputs[0].data.len()).max().unwrap_or(0);
    let padded = |index: usize| -> ort::Result<SessionInputValue<'static>> {
        let mut rows = vec![0i64; jobs.len() * longest];
        for (row, job) in rows.chunks_mut(longest).zip(jobs) {
            let data = &job.inputs[index].data;
            row[..data.len()].copy_from_slice(data);
        }
        Ok(Tensor::from_array(([jobs.len(), longest], rows))?.into())
    };
    Ok(vec![("ids", padded(0)?), ("mask", padded(1)?)])
}

fn open(environment: &Environment, folder: &str, file: &str) -> Result<Session, Fault> {
    let builder = Session::builder(environment)?.with_intra_threads(1).map_err(|error| error.to_string())?;
    Ok(builder.clone().commit_from_file(Path::new(folder).join(file))?)
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let args: Vec<String> = env::args().collect();
    let [_, library, folder, port] = args.as_slice() else { return Err("usage: native-server LIBONNXRUNTIME FOLDER PORT".into()) };
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    let tiny = start(open(&environment, folder, "tiny.onnx")?, "tiny", "scores", rows_of_features);
    let encoder = start(open(&environment, folder, "encoder.onnx")?, "encoder", "pooled", padded_ids);
    let app = Router::new()
        .route("/v2/models/tiny/infer", post(infer).with_state(tiny))
        .route("/v2/models/encoder/infer", post(infer).with_state(encoder));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, app).await?)
}
