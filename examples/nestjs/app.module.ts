/** A Nest application with a model: the prediction routes below /ml, a controller that asks the model, and a health check. */

import { fileURLToPath } from 'node:url'
import { BadRequestException, Body, Controller, Get, Inject, Module, Post } from '@nestjs/common'
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus'
import { InjectModel, type ModelHandle, ModelServerHealth, ModelServerModule } from 'modelmount/nestjs'

const penguins = fileURLToPath(new URL('../express/score.onnx', import.meta.url))
const SPECIES = ['Adelie', 'Chinstrap', 'Gentoo']

@Controller()
class SpeciesController {
  constructor(@InjectModel('penguins') private readonly model: ModelHandle) {}

  @Post('species')
  async species(@Body() body: { features?: unknown }) {
    const { features } = body ?? {}
    if (!Array.isArray(features) || features.length !== 4) throw new BadRequestException('features must be four numbers')
    const { outputs } = await this.model.predict({ features: [features] }, { outputs: ['probabilities'] })
    const probabilities = Array.from(outputs.probabilities?.data ?? [], Number)
    return { species: SPECIES[probabilities.indexOf(Math.max(...probabilities))] }
  }
}

@Controller('health')
class HealthController {
  constructor(
    // By class where decorators come without types of parameters, as from esbuild.
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(ModelServerHealth) private readonly models: ModelServerHealth,
  ) {}

  @Get()
  @HealthCheck()
  check() {
    return this.health.check([() => this.models.isHealthy()])
  }
}

@Module({
  imports: [
    TerminusModule,
    ModelServerModule.forRoot({ models: [{ name: 'penguins', source: penguins }], strict: true, routes: { path: 'ml' } }),
  ],
  controllers: [SpeciesController, HealthController],
})
export class AppModule {}
